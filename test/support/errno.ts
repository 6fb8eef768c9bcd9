import { explain, TsnetError } from "../../src/errors.ts";

/** The errno with which `work` fails, or else the whole error; undefined if it does not fail. */
export const errnoOf = (work: () => void): string | undefined => {
  try {
    work();
  } catch (error) {
    return error instanceof TsnetError ? error.errno : explain(error);
  }
  return undefined;
};
