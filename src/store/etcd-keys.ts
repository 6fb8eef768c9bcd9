/** Our records as etcd's API has them: keys and values in base64, "<prefix><kind>/<id>". */
import type { TsnetError } from "../errors.ts";
import type { Body, CallOptions, EtcdClient } from "./etcd-client.ts";
import { type ConditionRow, type Kind, parseValue, type Row } from "./store.ts";

const encode = (text: string): string => Buffer.from(text).toString("base64");
const decode = (text: string): string => Buffer.from(text, "base64").toString();

/** How many records are asked for at a time: in an answer of so many, the main thread is not lost for longer than some milliseconds. */
const recordsPerPage = 250;

/** All of the keys that begin with a text that ends in "/": "0" comes next. */
const rangeOf = (start: string): { key: string; range_end: string } => ({
  key: encode(start),
  range_end: encode(`${start.slice(0, -1)}0`),
});

/** A record of etcd's. */
export interface Entry {
  readonly kind: Kind;
  readonly id: string;
  /** Its JSON, parsed. */
  readonly value: unknown;
}

export class EtcdKeys {
  readonly #prefix: string;
  readonly #skip: (error: TsnetError) => void;
  /** The keys whose values were left out when they were last read. */
  readonly #skipped = new Set<string>();

  /**
   * @param prefix "/tsnet/"
   * @param skip is told of each value that is no JSON, once
   */
  constructor(prefix: string, skip: (error: TsnetError) => void = () => {}) {
    this.#prefix = prefix;
    this.#skip = skip;
  }

  /** All of our keys. */
  get all(): { key: string; range_end: string } {
    return rangeOf(this.#prefix);
  }

  /** Reads next to nothing, but only a server that the others still agree with answers. */
  get probe(): object {
    return { key: encode(this.#prefix), count_only: true };
  }

  one = (kind: Kind, id: string): { key: string } => ({ key: encode(`${this.#prefix}${kind}/${id}`) });

  /** A transaction (etcd's TxnRequest). Only the last change of a record counts; etcd takes no more than one. */
  transaction(rows: readonly Row[], conditions: readonly ConditionRow[]): object {
    const last = new Map(rows.map((row) => [`${row[0]}/${row[1]}`, row]));
    return {
      compare: conditions.map((condition) => this.#comparison(condition)),
      success: [...last.values()].map(([kind, id, text]) =>
        text === null
          ? { request_delete_range: this.one(kind, id) }
          : { request_put: { ...this.one(kind, id), value: encode(text) } },
      ),
    };
  }

  /**
   * The records of a kind, page by page, as they were at one revision; without those whose value is no JSON.
   * @param revision null for the present one
   * @param options of each page
   * @returns each page with the revision
   * @throws TsnetError "store"
   */
  async *pages(
    client: EtcdClient,
    kind: Kind,
    revision: string | null,
    options: () => CallOptions,
  ): AsyncGenerator<{ readonly revision: string; readonly entries: readonly Entry[] }, void> {
    const range = rangeOf(`${this.#prefix}${kind}/`);
    let at = revision;
    for (;;) {
      const body = { ...range, limit: recordsPerPage, ...(at === null ? {} : { revision: at }) };
      const { header, kvs = [], more }: Body = await client.call("/v3/kv/range", body, options());
      at ??= String(header.revision);
      yield { revision: at, entries: kvs.flatMap((kv: Body) => this.#readable(kv) ?? []) };
      if (!more) return;
      range.key = encode(`${decode(kvs.at(-1).key)}\0`);
    }
  }

  /** A change that etcd tells of: value null if it was removed, or is no JSON any more. */
  event({ type, kv }: Body): Entry {
    if (type === "DELETE") this.#skipped.delete(kv.key);
    return (type !== "DELETE" && this.#readable(kv)) || { ...this.#parseKey(kv.key), value: null };
  }

  /** The value of an answer to a request for one record; undefined if there is none. */
  valueOf({ kvs = [] }: Body): unknown {
    const [kv] = kvs;
    return kv === undefined ? undefined : this.#entry(kv.key, kv.value).value;
  }

  /** undefined if its value is no JSON: a mistake of somebody's stops nobody. */
  #readable({ key, value }: Body): Entry | undefined {
    try {
      const entry = this.#entry(key, value);
      this.#skipped.delete(key);
      return entry;
    } catch (error) {
      if (!this.#skipped.has(key)) this.#skip(error as TsnetError);
      this.#skipped.add(key);
      return undefined;
    }
  }

  #entry(key: string, value: string | undefined): Entry {
    const { kind, id } = this.#parseKey(key);
    const remedy = `remove it: etcdctl del ${decode(key)}`;
    return { kind, id, value: parseValue(kind, id, decode(value ?? ""), remedy) };
  }

  #parseKey(key: string): { kind: Kind; id: string } {
    const path = decode(key).slice(this.#prefix.length);
    const slash = path.indexOf("/");
    return { kind: path.slice(0, slash) as Kind, id: path.slice(slash + 1) };
  }

  #comparison([kind, id, is]: ConditionRow): object {
    const { key } = this.one(kind, id);
    if (typeof is === "string") return { key, target: "VALUE", result: "EQUAL", value: encode(is) };
    return { key, target: "CREATE", result: is === null ? "EQUAL" : "GREATER", create_revision: "0" };
  }
}
