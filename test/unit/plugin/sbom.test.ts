import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { type Bom, npmBom, pluginBom } from "../../../plugin/sbom.ts";

const component = (name: string, version: string) => ({
  ...{ "bom-ref": `${name}@${version}`, type: "library", name, version, purl: `pkg:npm/${name}@${version}` },
});

/** As npm writes it, of a project that needs Node, a module with an addon for each system, and a tool for development. */
const fromNpm: Bom = {
  serialNumber: "urn:uuid:1",
  metadata: { timestamp: "2026-01-01T00:00:00Z", component: { name: "tsnet", version: "0.1.0" } },
  components: [
    component("node", "24.1.0"),
    component("addon", "1.0.0"),
    component("addon-linux", "1.0.0"),
    component("addon-darwin", "1.0.0"),
    component("mocha", "1.0.0"),
  ],
  dependencies: [
    { ref: "tsnet@0.1.0", dependsOn: ["node@24.1.0", "addon@1.0.0", "mocha@1.0.0"] },
    { ref: "addon@1.0.0", dependsOn: ["addon-linux@1.0.0", "addon-darwin@1.0.0"] },
    { ref: "addon-darwin@1.0.0", dependsOn: [] },
  ],
};

const module = (path: string, name: string, version = "1.0.0"): Record<string, string> => ({
  [`usr/lib/tsnet/node_modules/${path}/package.json`]: JSON.stringify({ name, version }),
});

const files: Readonly<Record<string, string>> = {
  ...module("addon", "addon"),
  ...module("addon/node_modules/addon-linux", "addon-linux"),
  "usr/lib/tsnet/node_modules/addon/esm/package.json": '{"type":"module"}',
  "etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\n',
  "var/lib/dpkg/status": `Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library: Shared libraries
 Package: not this

Package: libgmp10
Architecture: amd64
Version: 2:6.2.1+dfsg1-1.1
`,
};

describe("the list of what the plugin is made of", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-sbom-test-"));
    for (const [path, text] of Object.entries(files)) write(path, text);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }

  it("has the modules that are in it, Node, and Debian's packages", () => {
    const { components, dependencies } = pluginBom(fromNpm, directory);
    expect(components.map(({ purl }) => purl)).to.deep.equal([
      "pkg:npm/node@24.1.0",
      "pkg:npm/addon@1.0.0",
      "pkg:npm/addon-linux@1.0.0",
      "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=bookworm",
      "pkg:deb/debian/libgmp10@2%3A6.2.1%2Bdfsg1-1.1?arch=amd64&distro=bookworm",
    ]);
    expect(dependencies).to.deep.equal([
      { ref: "tsnet@0.1.0", dependsOn: ["node@24.1.0", "addon@1.0.0"] },
      { ref: "addon@1.0.0", dependsOn: ["addon-linux@1.0.0"] },
    ]);
  });

  it("is the same whenever it is made", () => {
    const later = { ...fromNpm, serialNumber: "urn:uuid:2", metadata: { ...fromNpm.metadata, timestamp: "later" } };
    expect(pluginBom(later, directory)).to.deep.equal(pluginBom(fromNpm, directory));
  });

  it("is none with a module that npm does not list", () => {
    for (const [path, text] of Object.entries(module("stray", "stray", "2.0.0"))) write(path, text);
    expect(() => pluginBom(fromNpm, directory)).to.throw(
      `npm sbom does not list stray@2.0.0, which is in ${directory}`,
    );
  });
});

describe("npm's own list", () => {
  let directory: string;
  const path = process.env["PATH"];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-npm-"));
  });
  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(directory, { recursive: true });
  });

  /** An npm that is found first, and says this of each command but --version. */
  function fakeNpm(words: string): void {
    const file = join(directory, "npm");
    writeFileSync(file, `#!/bin/sh\n[ "$1" = --version ] && echo 9.2.0 && exit\necho '${words}' >&2\nexit 1\n`);
    chmodSync(file, 0o755);
    process.env["PATH"] = `${directory}:${path}`;
  }

  it("is none of an npm that is too old, and that is said", () => {
    fakeNpm('Unknown command: "sbom"');
    expect(npmBom).to.throw('npm 9.2.0 has no command "npm sbom": install npm 10.1 or newer');
  });

  it("is none where npm fails, with its words", () => {
    fakeNpm("npm error code EWHATEVER");
    expect(npmBom).to.throw("npm sbom: npm error code EWHATEVER");
  });

  it("has what tsnet needs, modules that its tests need as well among them", function () {
    const hasSbom = execFileSync("sh", ["-c", "npm sbom --help 2>/dev/null || true"], { encoding: "utf8" }).includes(
      "sbom-format",
    );
    if (!hasSbom) this.skip();
    const { metadata, components } = npmBom();
    expect(metadata.component.name).to.equal("tsnet");
    expect(components.map(({ name }) => name)).to.include.members(["express", "koffi", "node", "zod", "debug"]);
  });
});
