import { env } from "node:process";

/**
 * How many times as long as usual a deadline of the tests is, and a pause between two looks: more than 1 on a machine that is emulated.
 * Limits that the code under test sets itself stay as they are.
 */
export const patience = Number(env["TEST_TSNET_PATIENCE"] ?? "1");
