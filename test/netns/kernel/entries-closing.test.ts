/** A network goes while its forwarding entries are being compared. */
import { closeSync, openSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { ensurePlaces, remotePlace } from "../../../src/plan/overlay-places.ts";
import { inside, names, network, remote, useOverlay } from "../../support/overlay-links.ts";

const { namespace } = names;
const count = 3000;
const placesFrom = (first: number) =>
  ensurePlaces(
    network,
    Array.from({ length: count }, (_, n) => remotePlace(network, remote(first + n))),
  );

describe("comparing entries", () => {
  const fixture = useOverlay();
  beforeEach(async () => {
    await fixture.make();
    await fixture.ensure(placesFrom(1));
  });

  /** The namespace is closed after so many turns, and who opens something then gets its numbers. */
  async function closeAfter(turns: number): Promise<(readonly string[])[]> {
    const opened = fixture.namespaces.open(namespace);
    const comparing = Promise.all([opened.repairEntries(true), opened.repairEntries(true)]);
    comparing.catch(() => {});
    for (let n = 0; n < turns; n++) await nextTurn();
    fixture.namespaces.remove(namespace);
    const others = Array.from({ length: 10 }, () => openSync("/dev/null", "r"));
    try {
      return await comparing;
    } finally {
      for (const other of others) closeSync(other);
    }
  }

  for (const turns of [1, 5, 20, 60, 200])
    it(`ends without an error, and without another's descriptor, when the namespace goes after ${turns} turns`, async () => {
      inside(`neigh flush dev ${names.bridge} nud permanent`);
      const [, second] = await closeAfter(turns);
      expect(second).to.deep.equal([]);
    });
});
