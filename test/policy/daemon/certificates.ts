/** Authorities and certificates, made by openssl. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTls, type TlsFiles, type TlsMaterial } from '#proto/tls.ts';
import { runCommandSync } from '#test/helpers/command.ts';

export interface CertificateOptions {
  readonly subject: string;
  /** Such as `IP:127.0.0.1`. */
  readonly names?: string;
  /** From now; a number below 0 is in the past. */
  readonly days?: number;
}

/** An authority in a folder, which gives certificates there. */
export class Authority {
  readonly #folder: string;
  readonly #name: string;
  #count = 0;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      this.#path('key'),
      '-out',
      this.ca,
      '-subj',
      `/CN=${name}`,
    );
  }

  /** Its own certificate. */
  get ca(): string {
    return this.#path('crt');
  }

  issue({ subject, names, days = 1 }: CertificateOptions): TlsFiles {
    const base = join(this.#folder, `${this.#name}-${++this.#count}`);
    const [key, request, extensions, certificate] = ['key', 'csr', 'ext', 'crt'].map(
      (end) => `${base}.${end}`,
    ) as [string, string, string, string];
    writeFileSync(extensions, names === undefined ? '' : `subjectAltName=${names}\n`);
    this.#openssl('req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', subject);
    const signed = ['-CA', this.ca, '-CAkey', this.#path('key'), '-CAcreateserial', '-extfile', extensions];
    this.#openssl('x509', '-req', '-in', request, ...signed, '-days', `${days}`, '-out', certificate);
    return { ca: this.ca, certificate, key };
  }

  /** For a node, as kubelets have them. */
  ofNode(node: string, options: Partial<CertificateOptions> = {}): TlsMaterial {
    return readTls(this.issue({ subject: `/O=system:nodes/CN=system:node:${node}`, ...options }));
  }

  #path(end: string): string {
    return join(this.#folder, `${this.#name}.${end}`);
  }

  #openssl(...args: string[]): void {
    runCommandSync('openssl', args);
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
