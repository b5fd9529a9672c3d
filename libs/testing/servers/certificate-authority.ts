import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { bitString, boolean, explicit, integer, oid, octets, sequence, set, tagged, utcTime, utf8 } from './der.js';

export interface IssueOptions {
  /** Host names and addresses of the server. Default: `localhost`, `127.0.0.1` and `::1`. */
  names?: readonly string[];
  /** True: the certificate was valid once, and is no more. Default: false, it is valid for a year. */
  expired?: boolean;
}

/** A certificate and its private key, as PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const COMMON_NAME = oid('2.5.4.3');
const KEY_USAGE = oid('2.5.29.15');
const SUBJECT_ALT_NAME = oid('2.5.29.17');
const BASIC_CONSTRAINTS = oid('2.5.29.19');

/** Of `KEY_USAGE`: signs certificates and revocation lists. One bit of the byte is unused. */
const SIGNS_CERTIFICATES = Buffer.from([0x03, 0x02, 0x01, 0x06]);
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;

const THIS_MACHINE = ['localhost', '127.0.0.1', '::1'];

/**
 * A certificate authority of one test. Its certificates serve servers and clients, by default on this machine. Made by Node's own crypto: no `openssl` program and no package is needed.
 *
 * @example
 * const authority = new CertificateAuthority();
 * const redis = await startRedis({ tls: authority });
 * const client = new Redis(redis.url, { tls: { ca: authority.certificate } });
 */
export class CertificateAuthority {
  /** The certificate to trust, as PEM. */
  readonly certificate: string;
  readonly #key: KeyObject;
  readonly #name = commonName(`Sluice test authority ${randomBytes(4).toString('hex')}`);

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    this.certificate = this.#sign(this.#name, publicKey, Date.now() + YEAR_MS, [
      extension(BASIC_CONSTRAINTS, sequence(boolean(true)), true),
      extension(KEY_USAGE, SIGNS_CERTIFICATES, true),
    ]);
  }

  /**
   * Issues a certificate, by default for a server on this machine.
   *
   * @example
   * authority.issue({ names: ['redis.example', '10.0.0.1'] });
   */
  issue({ names = THIS_MACHINE, expired = false }: IssueOptions = {}): IssuedCertificate {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const untilMs = Date.now() + (expired ? -HOUR_MS : YEAR_MS);
    const alternatives = extension(SUBJECT_ALT_NAME, sequence(...names.map(alternative)), false);
    return {
      certificate: this.#sign(commonName(names[0] ?? ''), publicKey, untilMs, [alternatives]),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  }

  #sign(subject: Buffer, publicKey: KeyObject, untilMs: number, extensions: Buffer[]): string {
    const body = sequence(
      explicit(0, integer(Buffer.from([2]))),
      integer(randomBytes(16)),
      ECDSA_WITH_SHA256,
      this.#name,
      sequence(utcTime(Date.now() - DAY_MS), utcTime(untilMs)),
      subject,
      publicKey.export({ type: 'spki', format: 'der' }),
      explicit(3, sequence(...extensions)),
    );
    const signed = sequence(body, ECDSA_WITH_SHA256, bitString(sign('sha256', body, this.#key)));
    const lines = signed.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
    return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
  }
}

function alternative(name: string): Buffer {
  return isIP(name) === 0 ? tagged(DNS_NAME, Buffer.from(name)) : tagged(IP_ADDRESS, bytesOf(name));
}

/** The bytes of an address. Of IPv6, `::` stands for the groups of zeros that are left out. */
function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [before = [], after = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function commonName(name: string): Buffer {
  return sequence(set(sequence(COMMON_NAME, utf8(name))));
}

function extension(id: Buffer, value: Buffer, critical: boolean): Buffer {
  return sequence(id, ...(critical ? [boolean(true)] : []), octets(value));
}
