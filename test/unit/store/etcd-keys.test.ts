import { expect } from "chai";
import { EtcdKeys } from "../../../src/store/etcd-keys.ts";

describe("the keys of etcd", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");

  it("whose value is no JSON are said once, and again when they were removed meanwhile", () => {
    const said: string[] = [];
    const keys = new EtcdKeys("/tsnet/", ({ message }) => said.push(message));
    const kv = { key: base64("/tsnet/place/5/10.1.0.2"), value: base64("no JSON") };
    const gone = { kind: "place", id: "5/10.1.0.2", value: null };
    for (let n = 0; n < 2; n++) expect(keys.event({ type: "PUT", kv })).to.deep.equal(gone);
    expect(said).to.have.length(1);
    expect(said[0]).to.contain("etcdctl del /tsnet/place/5/10.1.0.2");
    expect(keys.event({ type: "DELETE", kv: { key: kv.key } })).to.deep.equal(gone);
    keys.event({ type: "PUT", kv });
    expect(said).to.have.length(2);
  });
});
