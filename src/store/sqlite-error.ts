/** What went wrong with the files, in words: SQLite's result codes (https://sqlite.org/rescode.html) and errno. */
import { dirname } from "node:path";

/** By the low byte of SQLite's result code. */
const sqliteCauses: Readonly<Record<number, (path: string) => string>> = {
  5: (path) => `${path} is in use by another process: run one tsnet per state directory (TSNET_STATE_DIR)`,
  6: (path) => `${path} is in use by another process: run one tsnet per state directory (TSNET_STATE_DIR)`,
  8: (path) => `${path} is read-only: mount its file system read-write and make the file writable`,
  10: (path) => `the disk of ${dirname(path)} reported an I/O error: look at the kernel's log`,
  11: (path) => `${path} is damaged: restore it from a backup, or move it away to start afresh`,
  13: (path) => `the disk of ${dirname(path)} is full: free some space`,
  14: (path) => `${path} cannot be opened: make ${dirname(path)} a directory that can be written`,
  26: (path) => `${path} is not a SQLite database: move it away`,
};

/** By errno name. */
const errnoCauses: Readonly<Record<string, (path: string) => string>> = {
  EACCES: (path) =>
    `${dirname(path)} cannot be written: run tsnet as root, or set TSNET_STATE_DIR to another directory`,
  EPERM: (path) => `${dirname(path)} cannot be written: run tsnet as root, or set TSNET_STATE_DIR to another directory`,
  ENOTDIR: (path) => `${dirname(path)} is not a directory: set TSNET_STATE_DIR to one`,
  ENOENT: (path) => `${dirname(path)} cannot be made: set TSNET_STATE_DIR to another directory`,
  EEXIST: (path) => `${dirname(path)} is not a directory: set TSNET_STATE_DIR to one`,
  EROFS: (path) => `${dirname(path)} is on a read-only file system: mount it read-write, or set TSNET_STATE_DIR`,
  ENOSPC: (path) => `the disk of ${dirname(path)} is full: free some space`,
  EDQUOT: (path) => `the disk quota of ${dirname(path)} is used up: free some space`,
};

/** One sentence that names the path and says what to do; what SQLite or the kernel said is at its end. */
export function explainStorageError(error: unknown, path: string): string {
  if (!(error instanceof Error)) return `${path}: ${String(error)}`;
  const { errcode, code } = error as { errcode?: number; code?: string };
  const explain = errcode === undefined ? errnoCauses[code ?? ""] : sqliteCauses[errcode & 255];
  if (explain) return `${explain(path)} (${error.message})`;
  return code === undefined ? `${path} ${error.message}` : `${path}: ${error.message}`;
}
