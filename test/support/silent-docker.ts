/** A socket in the place of Docker's that takes each question, and answers none of them before it is told to. */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";

/** What it answers: nothing; that it will tell of events; all that tsnet asks. */
export type Answers = "nothing" | "events" | "everything";

export class SilentDocker implements AsyncDisposable {
  answers: Answers = "nothing";
  /** The paths of all requests, without what comes after "?". */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #open = new Map<ServerResponse, string>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const [path = ""] = (request.url ?? "").split("?");
      this.asked.push(path);
      this.#open.set(response, path);
      response.on("close", () => this.#open.delete(response));
      this.#answer(response, path);
    });
  }

  static async listen(path: string): Promise<SilentDocker> {
    const docker = new SilentDocker();
    docker.#server.listen(path);
    await once(docker.#server, "listening");
    return docker;
  }

  /** Answers from now on, those that wait as well. */
  answer(what: Answers): void {
    this.answers = what;
    for (const [response, path] of this.#open) this.#answer(response, path);
  }

  /** Tells of a new network, where it has answered that it will. */
  tell(): void {
    for (const [response, path] of this.#open) if (path === "/events") response.write('{"Action":"create"}\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(response: ServerResponse, path: string): void {
    if (this.answers === "nothing") return;
    if (path === "/events") response.flushHeaders();
    else if (this.answers === "everything") response.end("[]");
  }
}
