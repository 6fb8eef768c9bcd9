/** `tsnet doctor`: asks the plugin, and prints. */
import type { DoctorAnswer, DoctorFinding, PeerAnswer, SwarmAnswer } from "../driver/overlay/doctor-answers.ts";
import { askAdmin } from "./client.ts";
import type { Printed } from "./ipam-commands.ts";
import { compare, formatPercent, formatTable, formatTime, printable, toJson } from "./table.ts";

/** Exit code 1 if something is wrong. @throws Error with what to do */
export async function runDoctor({
  socket,
  json,
}: {
  readonly socket: string;
  readonly json: boolean;
}): Promise<Printed> {
  const answer = await askAdmin<DoctorAnswer>(socket, "/v1/doctor");
  const sorted = { ...answer, peers: answer.peers.toSorted((a, b) => compare(a.address, b.address)) };
  return { text: json ? toJson(sorted) : formatDoctor(sorted), code: answer.findings.length > 0 ? 1 : 0 };
}

export const formatDoctor = (answer: DoctorAnswer): string =>
  `${formatHost(answer)}\n${formatPeers(answer)}\n${formatFindings(answer.findings)}${formatNotes(answer)}`;

function formatHost({ version, address, port, networks, checksumOffload, swarm = null }: DoctorAnswer): string {
  const cards = checksumOffload === null ? "-" : checksumOffload ? "left to network cards" : "made by the kernel";
  const lines = [
    ["Version:", version ?? "-"],
    ["Tunnel address:", address ?? "none"],
    ["UDP port:", `${port ?? "-"}`],
    ["Networks:", `${networks} with containers on this host`],
    ["Checksums:", cards],
    ...(swarm === null ? [] : [["Swarm:", formatSwarm(swarm)]]),
  ];
  return lines.map(([label = "", value = ""]) => `${label.padEnd(18)}${value}\n`).join("");
}

/** "worker at 10.0.0.2, knows 3 managers"; "manager at 10.0.0.1, knows 3 managers and 5 nodes". */
function formatSwarm({ role, address, managers, nodes }: SwarmAnswer): string {
  const known = [count(managers, "manager"), ...(nodes === null ? [] : [count(nodes, "node")])];
  return `${role} at ${address}, knows ${known.join(" and ")}`;
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

const header = ["HOST", "STATE", "ROUND TRIP", "ROUTE MTU", "VERIFIED", "LOSS", "PROBES", "LAST SEEN", "VERSION"];

function formatPeers({ peers }: DoctorAnswer): string {
  return peers.length === 0 ? "No other host has a network of this one.\n" : formatTable(header, peers.map(rowOf));
}

const rowOf = (peer: PeerAnswer): string[] => [
  peer.address,
  peer.state,
  peer.roundTripMs === null ? "-" : `${peer.roundTripMs.toFixed(2)} ms`,
  `${peer.routeMtuBytes ?? "-"}`,
  `${peer.verifiedMtuBytes ?? "-"}`,
  peer.loss === null ? "-" : formatPercent(peer.loss * 100),
  `${peer.probes}`,
  peer.lastSeen === null ? "never" : formatTime(peer.lastSeen),
  peer.version ?? "-",
];

const formatFindings = (findings: readonly DoctorFinding[]): string =>
  findings.length === 0 ? "Nothing is wrong.\n" : `Wrong:\n${formatTexts(findings)}`;

const formatNotes = ({ notes = [] }: DoctorAnswer): string =>
  notes.length === 0 ? "" : `\nBesides:\n${formatTexts(notes)}`;

const formatTexts = (findings: readonly DoctorFinding[]): string =>
  findings.map(({ text }) => `  ${printable(text)}\n`).join("");
