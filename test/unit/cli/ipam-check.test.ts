import { expect } from "chai";
import { formatCheck, formatRepair } from "../../../src/cli/ipam-check.ts";
import type { FindingAnswer } from "../../../src/driver/ipam/answers.ts";

describe("tsnet ipam check, as text", () => {
  const finding: FindingAnswer = {
    ...{ kind: "orphan", pool: "tsnet-local/172.18.0.0/24", address: "172.18.0.9" },
    ...{ text: "no container has it", since: "2026-01-02T03:04:05.678Z", repairable: true },
  };
  const pool: FindingAnswer = { ...finding, address: null, text: "no network has it", since: null, repairable: false };
  const table = [
    "POOL                        ADDRESS      SINCE                  REPAIR   FINDING",
    "tsnet-local/172.18.0.0/24   172.18.0.9   2026-01-02T03:04:05Z   yes      no container has it",
  ];
  const poolLine = "tsnet-local/172.18.0.0/24   -         -       no       no network has it";

  it("lists what is wrong, and says what gives it back", () => {
    expect(formatCheck({ findings: [finding] }).split("\n")).to.deep.equal([
      ...table,
      "",
      "What has yes in the column REPAIR is given back by: tsnet ipam check --repair",
      "",
    ]);
    expect(formatCheck({ findings: [pool] }).split("\n")).to.deep.equal([
      "POOL                        ADDRESS   SINCE   REPAIR   FINDING",
      poolLine,
      "",
      "Nothing of it can be given back now; what nobody has can be after TSNET_ORPHAN_GRACE.",
      "",
    ]);
    expect(formatCheck({ findings: [] })).to.equal("Nothing is wrong.\n");
  });

  it("lists what was given back, and what is left", () => {
    expect(formatRepair({ released: [finding], findings: [] }).split("\n")).to.deep.equal([
      "Given back:",
      "",
      "POOL                        ADDRESS      SINCE                  FINDING",
      "tsnet-local/172.18.0.0/24   172.18.0.9   2026-01-02T03:04:05Z   no container has it",
      "",
      "Nothing is wrong now.",
      "",
    ]);
    expect(formatRepair({ released: [], findings: [pool] }).split("\n")).to.deep.equal([
      "Nothing was given back.",
      "",
      "Left:",
      "",
      "POOL                        ADDRESS   SINCE   REPAIR   FINDING",
      poolLine,
      "",
    ]);
    expect(formatRepair({ released: [], findings: [] })).to.equal("Nothing was given back.\n\nNothing is wrong now.\n");
  });
});
