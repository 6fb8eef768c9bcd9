import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { PathProber } from "../../../src/kernel/underlay/path-prober.ts";
import type { PathProbe } from "../../../src/plan/path-probe.ts";

/** A port where nobody listens: the kernel answers that it is closed. */
const closed: PathProbe = { kind: "udp", address: "127.0.0.1", port: 9, bytes: 100 };
const echo: PathProbe = { kind: "echo", address: "127.0.0.1", port: 0, bytes: 100 };

/** A poller that tells of nothing, as one does whose thread has other things to do. */
const deaf = { add: () => 1, remove: () => {} };

async function outcomeOf(probe: PathProbe): Promise<string | undefined> {
  const [answer] = await new PathProber(deaf).probe(
    { namespace: null, source: null, probes: [probe], waitMs: 50 },
    null,
  );
  return answer?.outcome;
}

describe("a probe that nobody has looked after until its time is over", () => {
  it("is answered if the answer is there", async () => {
    expect([await outcomeOf(closed), await outcomeOf(echo)]).to.deep.equal(["answered", "answered"]);
  });

  it("is lost if there is none", async () => {
    const listener = createSocket("udp4").bind(0, "127.0.0.1");
    await once(listener, "listening");
    expect(await outcomeOf({ ...closed, port: listener.address().port })).to.equal("silent");
    listener.close();
  });
});
