/**
 * The syntax of names, labels and port names, as the Kubernetes API server checks it. Each test comes with the words
 * that say what it expects.
 */

/** A rule that a text has to obey, and how to say so. */
export interface TextRule {
  readonly expected: string;
  readonly test: (text: string) => boolean;
}

/** RFC 1123 subdomain: names of most objects. */
export const SUBDOMAIN: TextRule = {
  expected:
    'a name of a-z, 0-9, - and ., at most 253 characters, each part beginning and ending with a letter or digit',
  test: (text) =>
    text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text),
};

/** RFC 1123 label: names of namespaces. */
export const DNS_LABEL: TextRule = {
  expected: 'a name of a-z, 0-9 and -, at most 63 characters, beginning and ending with a letter or digit',
  test: (text) => text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text),
};

/** Qualified name: keys of labels. */
export const LABEL_KEY: TextRule = {
  expected:
    'a label key: an optional DNS subdomain and /, then at most 63 of A-Z, a-z, 0-9, -, _ and ., beginning and ending with a letter or digit',
  test: (text) => {
    const slash = text.indexOf('/');
    const prefix = text.slice(0, Math.max(0, slash));
    const name = text.slice(slash + 1);
    if (slash >= 0 && !SUBDOMAIN.test(prefix)) return false;
    return name.length <= 63 && /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name);
  },
};

export const LABEL_VALUE: TextRule = {
  expected:
    'a label value: at most 63 of A-Z, a-z, 0-9, -, _ and ., beginning and ending with a letter or digit, or empty',
  test: (text) => text.length <= 63 && /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(text),
};

/** IANA service name (RFC 6335 section 5.1) in lower case: names of ports. */
export const PORT_NAME: TextRule = {
  expected: 'a port name: at most 15 of a-z, 0-9 and -, with a letter, without - at an end or twice in a row',
  test: (text) =>
    text.length <= 15 &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text) &&
    /[a-z]/.test(text) &&
    !text.includes('--'),
};
