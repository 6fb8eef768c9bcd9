/** Where a managed plugin has the host's /run: plugin/config.json. */
const hostPrefix = /^\/host(?=\/run\/)/;

/** A path as the host has it: "/run/docker.sock" for "/host/run/docker.sock", and any other as it is. */
export const hostPath = (path: string): string => path.replace(hostPrefix, "");
