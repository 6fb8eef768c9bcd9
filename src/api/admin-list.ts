import type { Response } from "express";

/**
 * Answers with {KEY: [all items]}, written as it comes: the whole text of many thousand items is never in memory.
 * @param others what else there is in the answer, which is little
 * @throws whatever `parts` throws; before the first item, nothing is written
 */
export async function sendList(
  response: Response,
  key: string,
  parts: AsyncIterable<readonly object[]>,
  others: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  response.type("json");
  const start = `{"${key}":[\n`;
  let separator = start;
  for await (const part of parts) {
    if (response.closed) return;
    if (part.length === 0) continue;
    response.write(separator + part.map((item) => JSON.stringify(item)).join(",\n"));
    separator = ",\n";
    if (response.writableNeedDrain) await drained(response);
  }
  const rest = Object.entries(others).map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`);
  response.end(`${separator === start ? `{"${key}":[` : "\n"}]${rest.join("")}}\n`);
}

/** Resolves when the client has taken what was written, or has gone. */
const drained = (response: Response): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
    if (response.closed) done();
  });
