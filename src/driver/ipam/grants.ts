import { randomBytes } from "node:crypto";

/** 48 bits that tell this process from all others. */
const prefix = randomBytes(6).toString("base64url");
let count = 0;

/** A text that no other lease has had, nor will have: a tenth of the cost and half of the size of a UUID. */
export const newGrant = (): string => `${prefix}.${(count++).toString(36)}`;
