/** Certificates for etcd on 127.0.0.1 and its clients, made by openssl. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly clientCert: string;
  readonly clientKey: string;
}

/**
 * Makes a CA, and a certificate of a server and of a client.
 * @param directory where the files are put
 * @param name begins the names of the files
 */
export function makeCertificates(directory: string, name = "etcd"): Certificates {
  const path = (file: string): string => join(directory, `${name}-${file}.pem`);
  const openssl = (...words: string[]): void => {
    execFileSync("openssl", words, { stdio: "pipe" });
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=test CA", "-keyout", path("ca-key"), "-out", path("ca"));
  // etcd's gateway calls etcd with the certificate of the server
  const extensions = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
  writeFileSync(path("extensions"), extensions);
  for (const who of ["server", "client"]) {
    const request = path(`${who}-request`);
    openssl("req", ...key, "-subj", `/O=${who}`, "-keyout", path(`${who}-key`), "-out", request);
    const issuer = ["-CA", path("ca"), "-CAkey", path("ca-key"), "-CAcreateserial", "-days", "2"];
    openssl("x509", "-req", "-in", request, ...issuer, "-extfile", path("extensions"), "-out", path(who));
  }
  return {
    ca: path("ca"),
    serverCert: path("server"),
    serverKey: path("server-key"),
    clientCert: path("client"),
    clientKey: path("client-key"),
  };
}
