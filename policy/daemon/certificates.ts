/**
 * Certificates of the listener: taken over anew when their files change. What can not be used leaves the old ones in
 * force.
 */

import type { Log } from '#daemon/log.ts';
import { MutualTls, readTls, sameTls, TlsFileError, type TlsFiles, type TlsMaterial } from '#proto/tls.ts';

const WEEK_MS = 7 * 86_400_000;

export class Certificates {
  readonly credentials: MutualTls;
  readonly #files: TlsFiles;
  readonly #log: Log;
  /** ms since 1970. */
  readonly #date: () => number;
  #material: TlsMaterial;
  #error = '';

  /** @throws TlsFileError */
  constructor(files: TlsFiles, log: Log, date: () => number) {
    this.#files = files;
    this.#log = log;
    this.#date = date;
    this.#material = readTls(files);
    this.credentials = new MutualTls(this.#material);
    this.#logTimes();
  }

  /** When the certificate in use ends; ms since 1970. */
  get endsAt(): number {
    return this.#material.endsAt;
  }

  /** Why files that changed are not in use; '' if they are. */
  get error(): string {
    return this.#error;
  }

  /** Looks at the files, and takes over what is new in them. */
  look(): void {
    try {
      const material = readTls(this.#files);
      if (!sameTls(material, this.#material)) {
        this.#material = material;
        this.credentials.replace(material);
        this.#log.info(
          { endsAt: new Date(material.endsAt) },
          'certificates changed; new connections meet the new ones',
        );
        this.#logTimes();
      }
      this.#error = '';
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      // Files that belong together change one after the other: only what stays wrong is worth a line, and one is enough.
      if (error.message !== this.#error) {
        this.#log.error({ field: `listen.tls.${error.field}` }, `certificates not changed: ${error.message}`);
      }
      this.#error = error.message;
    }
  }

  #logTimes(): void {
    const { beginsAt, endsAt } = this.#material;
    const now = this.#date();
    const times = { beginsAt: new Date(beginsAt), endsAt: new Date(endsAt) };
    if (endsAt <= now) this.#log.error(times, 'the certificate has ended: no node will connect');
    else if (beginsAt > now) this.#log.error(times, 'the certificate is not valid yet: no node will connect');
    else if (endsAt - now < WEEK_MS) this.#log.warn(times, 'the certificate ends within a week');
  }
}
