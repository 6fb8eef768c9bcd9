/** Changes as the tests of stores make them. */
import { expect } from "chai";
import { TsnetError } from "../../src/errors.ts";
import type { Change, Kind } from "../../src/store/store.ts";

export const put = (id: string, value: object, kind: Kind = "network"): Change => ({ put: kind, id, value });
export const remove = (id: string, kind: Kind = "network"): Change => ({ remove: kind, id });

/** The error of a promise. Fails if there is none. */
export async function errorOf(promise: Promise<unknown>): Promise<TsnetError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(TsnetError);
  return error as TsnetError;
}
