/** Versions of the CNI specification that are spoken, in their order. */
export const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

export type CniVersion = (typeof VERSIONS)[number];

export const LATEST: CniVersion = '1.1.0';

export function isSpoken(text: string): text is CniVersion {
  return (VERSIONS as readonly string[]).includes(text);
}

/** Whether `version` is `other` or newer. */
export function isSince(version: CniVersion, other: CniVersion): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(other);
}
