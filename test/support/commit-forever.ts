/** A program that commits to the store in argv[2] and prints the ID of each commit once it is acknowledged, until it is killed. */
import { SqliteStore } from "../../src/store/sqlite-store.ts";

const store = await SqliteStore.open(process.argv[2] ?? "");
const commitForever = async (caller: number) => {
  for (let n = 0; ; n++) {
    const id = `${caller}-${n}`;
    await store.commit([
      { put: "network", id, value: { n } },
      { put: "endpoint", id, value: { n } },
    ]);
    await new Promise((written) => process.stdout.write(`${id}\n`, written));
  }
};
await Promise.all([0, 1, 2, 3].map(commitForever));
