/** Paths of the host, where the command runs in the files of the managed plugin: plugin/tsnet says then where the host's root is. */

/**
 * @param path an absolute one of the host
 * @returns by which this process reaches it: without /var/run, which is a link to an absolute path everywhere, and would lead elsewhere
 */
export function inHostRoot(path: string): string {
  const root = process.env["TSNET_HOST_ROOT"] ?? "";
  return root === "" ? path : `${root}${path.replace(/^\/var\/run\//, "/run/")}`;
}
