/** Subnets of a model, whose addresses are numbers: the last byte of 10.0.0.x, and from 256 on what follows fd00::. */

/** Addresses `first` to `last`. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

export const textOf = (address: number): string =>
  address < 256 ? `10.0.0.${address}` : `fd00::${address === 256 ? "" : (address - 256).toString(16)}`;

export function spanOf(subnet: string): Span {
  const [text = "", prefix = ""] = subnet.split("/");
  const isV4 = text.includes(".");
  const first = isV4 ? Number(text.split(".")[3]) : 256 + Number.parseInt(`0${text.replace("fd00::", "")}`, 16);
  return { first, last: first + 2 ** ((isV4 ? 32 : 128) - Number(prefix)) - 1 };
}

export const familyOf = (subnet: string): 4 | 6 => (subnet.includes(".") ? 4 : 6);
export const addressesOf = (subnet: string): number[] => {
  const { first, last } = spanOf(subnet);
  return Array.from({ length: last - first + 1 }, (_, n) => first + n);
};
export const overlap = (a: string, b: string): boolean =>
  spanOf(a).first <= spanOf(b).last && spanOf(b).first <= spanOf(a).last;

export function isReserved(subnet: string, address: number): boolean {
  const { first, last } = spanOf(subnet);
  if (familyOf(subnet) === 6) return address === first;
  return last - first > 1 && (address === first || address === last);
}
