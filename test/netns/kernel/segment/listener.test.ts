import { expect } from "chai";
import { inetPton } from "../../../../src/kernel/libc.ts";
import { Poller } from "../../../../src/kernel/ports/poller.ts";
import { arp } from "../../../../src/kernel/segment/arp.ts";
import { Closer } from "../../../../src/kernel/segment/closer.ts";
import { Listener } from "../../../../src/kernel/segment/listener.ts";
import { expectNoLeftovers, linkJson } from "../../../support/netns.ts";
import { parent, sendAsStranger, setUpSegment, strangerMac, tearDownSegment } from "../../../support/segment-lab.ts";

/** As many as are looked at before other work has its turn. */
const atOnce = 32;

describe("a listener on segments", () => {
  expectNoLeftovers(tearDownSegment);
  beforeEach(setUpSegment);

  it("looks at some of a flood's frames at a time, and goes on with the others later", async () => {
    const [poller, closer] = [new Poller(), new Closer()];
    let heard = 0;
    const onStatement = (): void => {
      heard++;
    };
    const listener = new Listener({ protocol: arp, poller, closer, onStatement });
    const [address, other] = ["192.168.1.50", "192.168.1.51"].map(inetPton) as [Uint8Array, Uint8Array];
    const interest = { addresses: [address], links: [linkJson(parent).ifindex] };
    try {
      listener.add(interest);
      const [claim, noise] = [address, other].map((one) => arp.encodeAnnouncement(strangerMac, one)) as [
        Buffer,
        Buffer,
      ];
      sendAsStranger(...Array.from({ length: atOnce }, () => noise));
      sendAsStranger(...Array.from({ length: atOnce + 1 }, () => claim));
      // each comes in twice: by the parent, and by the switch's own link
      const counts = Array.from({ length: 4 }, () => {
        listener.read();
        return heard;
      });
      expect(counts).to.deep.equal([atOnce, 2 * atOnce, 2 * (atOnce + 1), 2 * (atOnce + 1)]);
    } finally {
      listener.remove(interest);
      await poller.close();
      await closer.closed();
    }
  });
});
