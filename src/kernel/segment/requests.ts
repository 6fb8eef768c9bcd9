/** Which addresses are asked for, where: see Kernel.probeAddresses of driver/kernel.ts. */
export interface AddressProbe {
  readonly link: string;
  readonly alsoOn: string | null;
  readonly addresses: readonly string[];
}

/** Who has an address. */
export interface AddressHolder {
  readonly address: string;
  readonly mac: string;
}

/** Which addresses are announced, from where: see Kernel.announceAddresses of driver/kernel.ts. */
export interface AddressAnnouncement {
  readonly sandbox: string;
  readonly alias: string;
  readonly addresses: readonly string[];
  readonly through?: { readonly link: string; readonly mac: string };
}
