import type { Request } from "express";
import { TsnetError } from "../errors.ts";

/**
 * The parameters of a query of the admin API, each at most once.
 * @throws TsnetError "invalid" for one that is unknown
 */
export function parameters({ query }: Request, known: readonly string[]): Readonly<Record<string, string | undefined>> {
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) {
      throw new TsnetError("invalid", `${name}: unknown parameter; known: ${known.join(", ") || "none"}`);
    }
    if (typeof value !== "string") throw new TsnetError("invalid", `${name}: expected one value`);
  }
  return query as Record<string, string | undefined>;
}
