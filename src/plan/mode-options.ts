/** Which mode a network is of, and which options belong to which mode. */
import { TsnetError } from "../errors.ts";
import { ipvlanKeys, macvlanKeys } from "./lan-options.ts";
import type { Network } from "./network.ts";
import { shorten } from "./option-values.ts";
import { bridgeKeys } from "./options.ts";
import { overlayKeys } from "./overlay-options.ts";

const keysOf: Readonly<Record<Network["mode"], readonly string[]>> = {
  bridge: bridgeKeys,
  macvlan: macvlanKeys,
  ipvlan: ipvlanKeys,
  overlay: overlayKeys,
};
export const modes = Object.keys(keysOf) as Network["mode"][];

/**
 * The mode that `-o mode=` says; without, bridge.
 * @throws TsnetError "invalid" for a mode that is unknown, and for a key of another mode
 */
export function modeOf(given: Readonly<Record<string, string>>): Network["mode"] {
  const wanted = Object.hasOwn(given, "mode") ? given["mode"] : "bridge";
  const mode = modes.find((one) => one === wanted);
  if (mode === undefined) {
    throw new TsnetError("invalid", `mode=${shorten(String(wanted))}: this version knows the modes ${listed(modes)}`);
  }
  for (const [key, value] of Object.entries(given)) refuseOfOther(mode, key, value);
  return mode;
}

/** The options with a mode that is as good as given where none is. */
export const withMode = (
  given: Readonly<Record<string, string>>,
  fallback: Network["mode"],
): Readonly<Record<string, string>> => (Object.hasOwn(given, "mode") ? given : { ...given, mode: fallback });

function refuseOfOther(mode: Network["mode"], key: string, value: string): void {
  if (keysOf[mode].includes(key)) return;
  const others = modes.filter((other) => keysOf[other].includes(key));
  if (others.length === 0) return;
  const whose = others.length === 1 ? `of mode ${others[0]}` : `of the modes ${listed(others)}`;
  const reason = `is an option ${whose}, and the network is of mode ${mode}`;
  throw new TsnetError("invalid", `${key}=${shorten(value)} ${reason}; leave it out, or give -o mode=${others[0]}`);
}

const listed = (names: readonly string[]): string => `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
