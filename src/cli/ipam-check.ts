/** `tsnet ipam check`, as text. */
import type { CheckAnswer, FindingAnswer, RepairAnswer } from "../driver/ipam/answers.ts";
import { formatTable, formatTime } from "./table.ts";

export const formatCheck = ({ findings }: CheckAnswer): string =>
  findings.length === 0
    ? "Nothing is wrong.\n"
    : `${formatFindings(findings)}\n${findings.some(({ repairable }) => repairable) ? advice : noAdvice}`;

const advice = "What has yes in the column REPAIR is given back by: tsnet ipam check --repair\n";
const noAdvice = "Nothing of it can be given back now; what nobody has can be after TSNET_ORPHAN_GRACE.\n";

export function formatRepair({ released, findings }: RepairAnswer): string {
  const done = released.length === 0 ? "Nothing was given back.\n" : `Given back:\n\n${formatReleased(released)}`;
  const left = findings.length === 0 ? "Nothing is wrong now.\n" : `Left:\n\n${formatFindings(findings)}`;
  return `${done}\n${left}`;
}

const formatFindings = (findings: readonly FindingAnswer[]): string =>
  formatTable(
    ["POOL", "ADDRESS", "SINCE", "REPAIR", "FINDING"],
    findings.map((finding) => [...placeAndTime(finding), finding.repairable ? "yes" : "no", finding.text]),
  );

const formatReleased = (findings: readonly FindingAnswer[]): string =>
  formatTable(
    ["POOL", "ADDRESS", "SINCE", "FINDING"],
    findings.map((finding) => [...placeAndTime(finding), finding.text]),
  );

const placeAndTime = ({ pool, address, since }: FindingAnswer): string[] => [
  pool,
  address ?? "-",
  since === null ? "-" : formatTime(since),
];
