/**
 * Certificates of the listener: taken over anew when their files change. What can not be used leaves the old ones in
 * force. And what becomes of connections, for the log.
 */

import { type Log, LogLimit } from '#daemon/log.ts';
import { readTls, sameTls, TlsFileError, type TlsFiles, type TlsMaterial } from '#proto/tls.ts';
import { type ConnectionEvent, MutualTls } from '#proto/tls-listener.ts';

const WEEK_MS = 7 * 86_400_000;

export class Certificates {
  readonly listener: MutualTls;
  readonly #files: TlsFiles;
  readonly #log: Log;
  /** ms since 1970. */
  readonly #date: () => number;
  #material: TlsMaterial;
  readonly #limit: LogLimit;
  #error = '';

  /**
   * @param date ms since 1970
   * @param now ms, only ever growing
   * @throws TlsFileError
   */
  constructor(files: TlsFiles, log: Log, date: () => number, now = () => performance.now()) {
    this.#files = files;
    this.#log = log;
    this.#date = date;
    this.#material = readTls(files);
    this.#limit = new LogLimit(now);
    this.listener = new MutualTls(this.#material, { onEvent: (event) => this.#logEvent(event) });
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

  /** Looks at the files, and takes over what is new in them. Connections whose certificate has ended end. */
  look(): void {
    this.listener.sweep(this.#date());
    try {
      const material = readTls(this.#files);
      if (!sameTls(material, this.#material)) {
        this.#material = material;
        this.#log.info(
          { endsAt: new Date(material.endsAt) },
          'certificates changed; new connections meet the new ones',
        );
        this.listener.replace(material);
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

  #logEvent(event: ConnectionEvent): void {
    this.#limit.run(event.kind, (leftOut) => {
      const more = leftOut === 0 ? {} : { leftOutBefore: leftOut };
      switch (event.kind) {
        case 'refused':
          this.#log.error(
            { peer: event.peer, most: event.most, ...more },
            'a connection is refused: there are as many as may be',
          );
          break;
        case 'displaced':
          this.#log.warn(
            { peer: event.peer, most: event.most, ...more },
            'too many connections without a certificate: the oldest is ended for a new one',
          );
          break;
        case 'failed':
          this.#log.error({ reason: event.reason, ...more }, 'a connection could not be taken');
          break;
        case 'ended':
          this.#log.warn(
            { peer: event.peer, subject: event.subject, reason: event.reason, ...more },
            'a connection is ended: its client has to show another certificate',
          );
      }
    });
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
