import type { z } from "zod";
import { TsnetError } from "../errors.ts";

/** A body that is not what the method takes: the one kind of error whose status is not 200. */
export class MalformedBody extends TsnetError {
  constructor(message: string) {
    super("invalid", message);
  }
}

/**
 * The JSON value of a body; undefined for an empty one.
 * @throws MalformedBody
 */
export function parseJson(text: unknown): unknown {
  if (typeof text !== "string" || text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedBody(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * Checks a body against a shape.
 * @throws MalformedBody: "IPv4Data[0].Pool: expected …, got …", the first thing that is wrong
 */
export function parseBody<T>(shape: z.ZodType<T>, body: unknown): T {
  if (body === undefined) throw new MalformedBody("the body is empty: expected a JSON object");
  const result = shape.safeParse(body);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const path = formatPath(issue.path);
  throw new MalformedBody(`${path === "" ? "" : `${path}: `}${reasonOf(issue, valueAt(body, issue.path))}`);
}

type Issue = z.core.$ZodIssue;

/** Of alternatives that all failed, the one that got furthest says most; else the last, which is the value itself and not "none". */
function deepest(issues: readonly Issue[]): Issue {
  const [issue] = issues;
  if (issue === undefined) throw new MalformedBody("the body is not what was expected");
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors
    .map(deepest)
    .toReversed()
    .toSorted((a, b) => Number(b.code === "custom") - Number(a.code === "custom"))[0];
  return inner === undefined ? issue : { ...inner, path: [...issue.path, ...inner.path] };
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

function reasonOf(issue: Issue, value: unknown): string {
  if (issue.code === "invalid_type") return `expected ${issue.expected}, got ${describe(value)}`;
  return issue.code === "custom" || issue.code === "invalid_format"
    ? `${issue.message}${gotSuffix(issue, value)}`
    : `${issue.message}, got ${describe(value)}`;
}

const gotSuffix = (issue: Issue, value: unknown): string =>
  issue.code === "invalid_format" ? `, got ${describe(value)}` : "";

/** A value, short enough for a message. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], body);
}
