/** What the tests of those who follow a real etcd have in common: a server, and for each test a prefix, a mirror and stores. */
import type { TsnetError } from "../../src/errors.ts";
import { type EtcdOptions, type EtcdSettings, EtcdStore } from "../../src/store/etcd-store.ts";
import { EtcdServer } from "./etcd.ts";
import { Mirror } from "./store-follow-contract.ts";

export interface EtcdFollowers {
  server: EtcdServer;
  mirror: Mirror;
  /** What the stores have told of their trouble. */
  reported: (TsnetError | null)[];
  /** Closed after the test. */
  readonly openStore: (settings?: Partial<EtcdSettings>, options?: EtcdOptions) => Promise<EtcdStore>;
}

/** To be called in a `describe`; what it returns is filled before each test. */
export function useEtcdFollowers(name: string): EtcdFollowers {
  let count = 0;
  const stores: EtcdStore[] = [];
  const followers = {
    openStore: async (settings: Partial<EtcdSettings> = {}, options: EtcdOptions = {}) => {
      const report = (trouble: TsnetError | null) => followers.reported.push(trouble);
      const prefix = `/${name}/${count}/`;
      const store = await EtcdStore.open(followers.server.settings({ prefix, ...settings }), { report, ...options });
      stores.push(store);
      return store;
    },
  } as EtcdFollowers;
  before(async () => {
    followers.server = await EtcdServer.start();
  });
  beforeEach(() => {
    count++;
    followers.mirror = new Mirror();
    followers.reported = [];
  });
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));
  after(() => followers.server?.[Symbol.asyncDispose]());
  return followers;
}
