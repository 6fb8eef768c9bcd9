import { TsnetError } from "../errors.ts";
import { type NftTable as Definition, wholeTableScript } from "../plan/nft-script.ts";
import { inNewNamespace } from "./netlink/in-namespace.ts";
import { Nft } from "./nft.ts";
import { NftTable } from "./nft-table.ts";

/** By name and definition: there are as many as tables that are always the same. */
const known = new Map<string, string>();

/**
 * How the kernel lists a table without its elements, as ObservedFirewall has it: found out once, in a network namespace that goes again.
 * @throws TsnetError "kernel"
 */
export function skeletonOf(table: Definition): string {
  const key = `${table.name}\0${table.definition}`;
  const found = known.get(key) ?? findOut(table);
  known.set(key, found);
  return found;
}

function findOut(table: Definition): string {
  return inNewNamespace(() => {
    const [nft, reader] = [new Nft(), new NftTable()];
    try {
      nft.run(wholeTableScript(table, {}));
      const observed = reader.observe(table.name);
      if (observed !== undefined) return observed.skeleton;
      throw new TsnetError("kernel", `table ${table.name} is not there right after it was made`);
    } finally {
      reader.close();
      nft.close();
    }
  });
}
