/** Records as they come from the store: nothing is believed before it is checked. */
import { z } from "zod";
import { explain, TsnetError } from "../errors.ts";
import type { RecordKind } from "./records.ts";

/** How many records are restored at a time: each takes up to 0.05 ms, and the event loop must not wait for 5. */
export const recordsPerTurn = 50;

/** A text that `parse` understands; it stays as it is. */
export const textFor = (parse: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: explain(error) });
    }
  });

/**
 * A record's value with this shape. Fields that the shape does not know are left out.
 * @throws TsnetError "store", which names the record and says what to do
 */
export function parseRecord<T>(kind: RecordKind, id: string, shape: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = shape.safeParse(value);
  if (success) return data;
  throw badRecord(kind, id, `cannot be understood: ${explainShape(error)}`);
}

/** "hosts.4f2a: expected string; name: expected string" */
export const explainShape = ({ issues }: z.ZodError): string =>
  issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");

/** The error of a record that must not be acted on. */
export const badRecord = (kind: RecordKind, id: string, problem: string, cause?: unknown): TsnetError =>
  new TsnetError("store", `record ${kind} ${id} ${problem}; remove it from tsnet.db or move the file away`, { cause });
