/**
 * Mutual TLS: certificate, key and authorities from files, taken over anew when the files change.
 */

import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { credentials } from '@grpc/grpc-js';

/** Names of PEM files. */
export interface TlsFiles {
  /** The authorities whose certificates the other side may have. */
  readonly ca: string;
  /** Our own, and after it those between it and an authority. */
  readonly certificate: string;
  readonly key: string;
}

/** Thrown for a file that can not be used. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
  readonly code = 'TLS_FILE_UNUSABLE';
  /** Which of the files it is. */
  readonly field: keyof TlsFiles;
  readonly found: string;
  readonly expected: string;

  constructor(field: keyof TlsFiles, found: string, expected: string, options?: ErrorOptions) {
    super(`${field}: found ${found}, expected ${expected}`, options);
    this.field = field;
    this.found = found;
    this.expected = expected;
  }
}

/** What stands in the files, checked. */
export interface TlsMaterial {
  readonly ca: Buffer;
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** When our certificate begins and ends to hold; ms since 1970. */
  readonly beginsAt: number;
  readonly endsAt: number;
}

/** @throws TlsFileError */
export function readTls(files: TlsFiles): TlsMaterial {
  const ca = readPem(files, 'ca');
  const certificate = readPem(files, 'certificate');
  const key = readPem(files, 'key');
  certificatesOf(files, 'ca', ca);
  const [own] = certificatesOf(files, 'certificate', certificate) as [X509Certificate];
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch (cause) {
    throw new TlsFileError(
      'key',
      `${files.key}, in which there is none that can be read`,
      'a private key in PEM',
      {
        cause,
      },
    );
  }
  if (!own.checkPrivateKey(privateKey)) {
    throw new TlsFileError('key', `${files.key}, which is another's`, `the key of ${files.certificate}`);
  }
  const material = {
    ca,
    certificate,
    key,
    beginsAt: Date.parse(own.validFrom),
    endsAt: Date.parse(own.validTo),
  };
  try {
    createSecureContext(contextOf(material));
  } catch (cause) {
    const found = `${files.certificate}, which is refused (${(cause as Error).message})`;
    throw new TlsFileError('certificate', found, 'a certificate that OpenSSL accepts', { cause });
  }
  return material;
}

/** Whether they say the same. */
export function sameTls(a: TlsMaterial, b: TlsMaterial): boolean {
  return (['ca', 'certificate', 'key'] as const).every((field) => a[field].equals(b[field]));
}

/** For a client: shows our certificate and asks for one of the authorities, made out to the name that is called. */
export function clientTls({ ca, certificate, key }: TlsMaterial) {
  return credentials.createSsl(ca, key, certificate);
}

/**
 * Our own programs are on both sides, so that nothing older than TLS 1.3 is needed. No tickets: a session that goes on
 * where another left off would not have its certificate looked at again.
 */
export function contextOf({ ca, certificate, key }: Pick<TlsMaterial, 'ca' | 'certificate' | 'key'>) {
  return {
    ca,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3' as const,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** The authorities, each as base64 of its DER. */
export function anchorsOf({ ca }: Pick<TlsMaterial, 'ca'>): ReadonlySet<string> {
  return new Set(blocksOf(ca).map((block) => new X509Certificate(block).raw.toString('base64')));
}

function readPem(files: TlsFiles, field: keyof TlsFiles): Buffer {
  try {
    return readFileSync(files[field]);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new TlsFileError(field, `${files[field]}, which can not be read (${reason})`, 'a file in PEM', {
      cause,
    });
  }
}

function certificatesOf(files: TlsFiles, field: 'ca' | 'certificate', pem: Buffer): X509Certificate[] {
  try {
    const certificates = blocksOf(pem).map((block) => new X509Certificate(block));
    if (certificates.length > 0) return certificates;
  } catch (cause) {
    throw new TlsFileError(field, `${files[field]}, in which one can not be read`, 'certificates in PEM', {
      cause,
    });
  }
  throw new TlsFileError(field, `${files[field]}, in which there is none`, 'at least one certificate in PEM');
}

function blocksOf(pem: Buffer): string[] {
  return pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
}
