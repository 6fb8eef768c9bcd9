/** On a real etcd. */
import { EtcdStore } from "../../../src/store/etcd-store.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { behavesAsStore } from "../../support/store-contract.ts";

describe("EtcdStore", () => {
  let server: EtcdServer;
  let count = 0;

  before(async () => {
    server = await EtcdServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  behavesAsStore("EtcdStore", async () => {
    const store = await EtcdStore.open(server.settings({ prefix: `/test/${count++}/` }));
    return { store, dispose: () => store.close() };
  });
});
