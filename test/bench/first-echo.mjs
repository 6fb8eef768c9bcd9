/**
 * For each IPv4 address on a line of standard input: asks it for an echo (RFC 792) every two milliseconds, and prints when the first came
 * back, by the clock of process.hrtime, in milliseconds.
 */
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const sendto = libc.func(
  "intptr_t sendto(int fd, const uint8_t *b, size_t n, int flags, const uint8_t *to, uint32_t m)",
);
const recv = libc.func("intptr_t recv(int fd, uint8_t *bytes, size_t length, int flags)");

/** AF_INET, SOCK_RAW, IPPROTO_ICMP, MSG_DONTWAIT. */
const [inet, raw, icmp, dontWait] = [2, 3, 1, 0x40];
/** Type 8, code 0, a checksum, identifier 0x7473, sequence number 1. */
const request = Uint8Array.of(8, 0, 0x83, 0x8b, 0x74, 0x73, 0, 1);
/** Type 0, after an IP header of 20 bytes. */
const isAnswer = (packet) => packet[20] === 0 && packet[24] === 0x74 && packet[25] === 0x73;

const fd = socket(inet, raw, icmp);
if (fd < 0) throw new Error(`socket: errno ${koffi.errno()}`);

async function firstEcho(address) {
  const bytes = address.split(".").map(Number);
  const to = Uint8Array.of(inet, 0, 0, 0, ...bytes, 0, 0, 0, 0, 0, 0, 0, 0);
  const packet = new Uint8Array(1500);
  for (;;) {
    sendto(fd, request, request.length, dontWait, to, to.length);
    await sleep(2);
    while (recv(fd, packet, packet.length, dontWait) > 0)
      if (isAnswer(packet) && bytes.every((byte, index) => packet[12 + index] === byte)) return;
  }
}

console.log("ready");
for await (const address of createInterface(process.stdin)) {
  await firstEcho(address);
  console.log(Number(process.hrtime.bigint()) / 1e6);
}
