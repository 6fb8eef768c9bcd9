import { close, open, setNetworkNamespace, unshareNetwork } from "../libc.ts";

/** O_RDONLY | O_CLOEXEC of the C library's fcntl.h. */
const readOnly = 0x80000;

/** Runs `work` with this thread in another network namespace. @param path the namespace's file */
export function inNamespace<T>(path: string, work: () => T): T {
  const own = open("/proc/thread-self/ns/net", readOnly);
  try {
    const other = open(path, readOnly);
    try {
      setNetworkNamespace(other);
      try {
        return work();
      } finally {
        setNetworkNamespace(own);
      }
    } finally {
      close(other);
    }
  } finally {
    close(own);
  }
}

/** Runs `work` with this thread in a network namespace that is new. */
export function inNewNamespace<T>(work: () => T): T {
  const own = open("/proc/thread-self/ns/net", readOnly);
  try {
    unshareNetwork();
    try {
      return work();
    } finally {
      setNetworkNamespace(own);
    }
  } finally {
    close(own);
  }
}
