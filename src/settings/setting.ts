/** What a setting is, and the forms that several have. */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Setting<T> {
  readonly name: string;
  /** Taken if it is empty or not set. */
  readonly fallback: string;
  /** @throws Error */
  readonly parse: (text: string) => T;
  /** Whether its text, which may hold a password, must not be shown. */
  readonly isSecret?: boolean;
}

export type Read = <T>(setting: Setting<T>) => T;

export function absolutePath(text: string): string {
  if (/^\/[^\0]*$/.test(text)) return text;
  throw new Error("expected an absolute path");
}

export function oneOf<const T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    throw new Error(`expected one of ${values.join(", ")}`);
  };
}

/** What is not given is null. */
export function optional<T>(parse: (text: string) => T): (text: string) => T | null {
  return (text) => (text === "" ? null : parse(text));
}
