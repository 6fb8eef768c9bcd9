/**
 * nft in this process: libnftables, which is what the program nft is a shell around. One transaction costs a tenth of a
 * millisecond, where a child process costs three.
 */
import { closeSync, writeSync } from "node:fs";
import koffi from "koffi";
import { TsnetError } from "../errors.ts";
import { memfdCreate } from "./libc.ts";
import { NftSocket } from "./nft-socket.ts";

/** What the kernel's refusals look like in libnftables' messages, which are strerror's (glibc and musl). */
const errnos: readonly (readonly [text: RegExp, errno: string])[] = [
  [/No such file or directory/, "ENOENT"],
  [/File exists|conflicting intervals|interval overlaps/, "EEXIST"],
  [/Operation not permitted|must be root/, "EPERM"],
  [/(Device or )?[Rr]esource busy/, "EBUSY"],
  [/Operation not supported|Not supported/, "EOPNOTSUPP"],
  [/No buffer space available/, "ENOBUFS"],
  [/(Cannot allocate|Out of) memory/, "ENOMEM"],
  [/Numerical result out of range|Result not representable/, "ERANGE"],
  [/Invalid argument/, "EINVAL"],
];

/** An nft context: a netlink socket, and the language. One thread of a process has all of them: NftSocket tells them apart by their order. */
export class Nft {
  readonly #library: Libnftables;
  readonly #socket: NftSocket;
  #context: unknown;

  /**
   * @throws TsnetError "kernel" if libnftables.so.1 is not there, and with errno EPERM without CAP_NET_ADMIN
   */
  constructor() {
    this.#library = loadLibnftables();
    NftSocket.prepare();
    const context = this.#library.create(0);
    if (context === null) throw new TsnetError("kernel", "nft: nft_ctx_new gave nothing");
    this.#context = context;
    try {
      this.#socket = new NftSocket();
      this.#library.bufferOutput(context);
      this.#library.bufferError(context);
      this.run("list tables inet"); // the kernel gives a port ID with the first message
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The netlink port ID under which our transactions appear in notifications (nlmsg_pid). */
  get portId(): number {
    return this.#socket.portId;
  }

  /**
   * One transaction, in nft's own language: all of it or nothing. Equivalent to: `nft -f -`.
   * @throws TsnetError "kernel" with nft's message and the line of the script, and an errno where it is recognised
   */
  run(script: string): void {
    const context = this.#opened();
    const isDone = this.#library.run(context, script) === 0;
    this.#socket.follow();
    if (!isDone) throw parseError(this.#library.error(context), this.#locate(script));
  }

  /** Closes the socket, and with it removes the tables that it owns (`flags owner`). A second call does nothing. */
  close(): void {
    if (this.#context !== null) this.#library.free(this.#context);
    this.#context = null;
  }

  /**
   * What nft says about the same script in a file, without doing it: from a buffer it always quotes the first line, from a
   * file the right one. undefined where one line leaves no doubt.
   */
  #locate(script: string): string | undefined {
    const context = this.#opened();
    if (!script.trim().includes("\n")) return undefined;
    const file = memfdCreate("nft");
    try {
      writeSync(file, script);
      this.#library.setDryRun(context, true);
      this.#library.runFile(context, `/proc/self/fd/${file}`);
      return this.#library.error(context);
    } finally {
      this.#socket.follow();
      this.#library.setDryRun(context, false);
      closeSync(file);
    }
  }

  #opened(): unknown {
    if (this.#context === null) throw new TsnetError("kernel", "nft: the context is closed");
    return this.#context;
  }
}

/**
 * nft's first error and the line below it, which quotes the script; the caret line says nothing more.
 * @param located the same about the script as a file; "" if it would succeed by now, undefined for a script of one line
 */
function parseError(text: string, located: string | undefined): TsnetError {
  const [error = "", first = ""] = errorLines(text);
  const [again, line] = errorLines(located ?? "");
  const quoted = located === undefined ? first : again === error ? (line ?? "") : "";
  const errno = errnos.find(([pattern]) => pattern.test(error))?.[1];
  const message = `nft: ${error || "an error without a message"}${quoted ? ` in: ${quoted.trim().slice(0, 200)}` : ""}`;
  return new TsnetError("kernel", message, errno ? { errno } : {});
}

/** The first error without its place, and the line after it. */
function errorLines(text: string): string[] {
  const lines = text.split("\n");
  const at = Math.max(
    lines.findIndex((line) => line.includes("Error: ")),
    0,
  );
  return lines.slice(at, at + 2).map((line) => line.replace(/^.*?Error: /, ""));
}

interface Libnftables {
  create(flags: number): unknown;
  free(context: unknown): void;
  bufferOutput(context: unknown): number;
  bufferError(context: unknown): number;
  output(context: unknown): string;
  error(context: unknown): string;
  setDryRun(context: unknown, dry: boolean): void;
  run(context: unknown, script: string): number;
  runFile(context: unknown, path: string): number;
}

/** nftables/libnftables.h. A second load of the same library costs nothing. */
function loadLibnftables(): Libnftables {
  try {
    const library = koffi.load("libnftables.so.1");
    return {
      create: library.func("void *nft_ctx_new(uint32_t flags)"),
      free: library.func("void nft_ctx_free(void *ctx)"),
      bufferOutput: library.func("int nft_ctx_buffer_output(void *ctx)"),
      bufferError: library.func("int nft_ctx_buffer_error(void *ctx)"),
      output: library.func("const char *nft_ctx_get_output_buffer(void *ctx)"),
      error: library.func("const char *nft_ctx_get_error_buffer(void *ctx)"),
      setDryRun: library.func("void nft_ctx_set_dry_run(void *ctx, bool dry)"),
      runFile: library.func("int nft_run_cmd_from_filename(void *ctx, const char *filename)"),
      run: library.func("int nft_run_cmd_from_buffer(void *ctx, const char *buf)"),
    };
  } catch (cause) {
    const message = "nft: libnftables.so.1 is not there: install the package nftables (or libnftables1)";
    throw new TsnetError("kernel", message, { cause });
  }
}
