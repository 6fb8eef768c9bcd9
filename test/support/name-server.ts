/**
 * A name server at 127.0.0.11 in this process's network namespace, as Docker's is in a container's. Run as a program; its argument is, in
 * JSON, what it answers to whom asks for a name; "*" is any other. It keeps to the size that a question gives, as Docker's does:
 * RFC 6891, 6.2.5.
 */
import { createSocket } from "node:dgram";
import { dnsAnswer } from "./dns-answer.ts";

/** Addresses; or what it does else. */
export type Behaviour = readonly string[] | "silent" | "elsewhere" | "garbage" | "another" | "SERVFAIL";

const answers = new Map(Object.entries(JSON.parse(process.argv[2] ?? "{}") as Record<string, Behaviour>));
const server = createSocket("udp4");
const elsewhere = createSocket("udp4");

function readQuestion(message: Buffer): { readonly id: number; readonly name: string; readonly size: number } {
  const labels: string[] = [];
  let at = 12;
  for (; message[at] !== 0; at += 1 + (message[at] ?? 0))
    labels.push(message.toString("ascii", at + 1, at + 1 + (message[at] ?? 0)));
  const opt = message.subarray(at + 5); // the root's name, type OPT, size
  const size = message.readUInt16BE(10) === 1 && opt.readUInt16BE(1) === 41 ? opt.readUInt16BE(3) : 512;
  return { id: message.readUInt16BE(0), name: labels.join("."), size };
}

server.on("message", (message, { port, address }) => {
  const { id, name, size } = readQuestion(message);
  const behaviour = answers.get(name) ?? answers.get("*") ?? "silent";
  const send = (answer: Buffer, from = server): void => from.send(answer, port, address);
  if (typeof behaviour !== "string") {
    const answer = dnsAnswer({ id, name, addresses: behaviour });
    send(answer.length <= size ? answer : dnsAnswer({ id, name, addresses: behaviour.slice(0, 3), bits: 0x0200 }));
  } else if (behaviour === "elsewhere") send(dnsAnswer({ id, name, addresses: ["10.5.0.66"] }), elsewhere);
  else if (behaviour === "garbage") send(dnsAnswer({ id, name, addresses: ["10.5.0.66"] }).subarray(0, -2));
  else if (behaviour === "another") {
    // to another question, to none that was asked, and then the one that it is about
    send(dnsAnswer({ id, name: "tasks.other", addresses: ["10.5.0.66"] }));
    send(dnsAnswer({ id: id ^ 0x8000, name, addresses: ["10.5.0.66"] }));
    send(dnsAnswer({ id, name, addresses: ["10.5.0.1"] }));
    send(dnsAnswer({ id, name, addresses: ["10.5.0.66"] }));
  } else if (behaviour === "SERVFAIL") send(dnsAnswer({ id, name, addresses: [], bits: 2 }));
});

elsewhere.bind(53, "127.0.0.12");
server.bind(53, "127.0.0.11", () => process.stdout.write("ready\n"));
