/**
 * A caller of the plugin that costs little: one connection that is kept, one request at a time, HTTP written and read by hand.
 * Node's own client takes longer for a request than the plugin does.
 */
import { connect, type Socket } from "node:net";

const headEnd = "\r\n\r\n";

/** What a request is answered with: fields of the protocol, or "Err" and "Error". */
export type Answer = Readonly<Record<string, string>>;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class Caller implements Disposable {
  readonly #socket: Socket;
  #received = "";
  #waiting: Waiting | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1"); // so that characters are bytes
    socket.on("data", (text) => this.#take(String(text)));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the plugin has closed the connection")));
  }

  /** @param path of the plugin's socket */
  static async open(path: string): Promise<Caller> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Caller(socket);
  }

  /**
   * One call; an answer that is a refusal is an answer here.
   * @throws Error if the connection ends before the answer: then the plugin may have done it
   */
  call(method: string, body: object): Promise<Answer> {
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting = { resolve, reject };
      this.#socket.write(
        `POST /${method} HTTP/1.1\r\nHost: plugin\r\nContent-Length: ${Buffer.byteLength(text)}${headEnd}${text}`,
      );
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf(headEnd);
    if (end < 0) return;
    const [, length = ""] = /\r\ncontent-length: (\d+)/i.exec(this.#received.slice(0, end)) ?? [];
    const body = this.#received.slice(end + headEnd.length);
    if (body.length < Number(length)) return;
    const waiting = this.#waiting;
    this.#received = "";
    this.#waiting = undefined;
    waiting?.resolve(JSON.parse(Buffer.from(body, "latin1").toString()));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/** So many callers at once. */
export async function openCallers(path: string, count: number): Promise<Disposable & { readonly all: Caller[] }> {
  const all: Caller[] = [];
  while (all.length < count) all.push(await Caller.open(path));
  return {
    all,
    [Symbol.dispose]: () => {
      for (const caller of all) caller[Symbol.dispose]();
    },
  };
}
