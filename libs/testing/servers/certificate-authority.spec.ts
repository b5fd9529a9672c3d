import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { CertificateAuthority } from './certificate-authority.js';
import { integer, oid, tagged } from './der.js';

describe('a certificate authority', () => {
  const authority = new CertificateAuthority();
  const ca = new X509Certificate(authority.certificate);

  it('signs itself, and says that it is one', () => {
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(ca.subject).toMatch(/^CN=Sluice test authority [0-9a-f]{8}$/);
  });

  it('issues certificates for this machine, each with a key and a number of its own', () => {
    const [first, second] = [authority.issue(), authority.issue()];
    const server = new X509Certificate(first.certificate);
    expect(server.verify(ca.publicKey)).toBe(true);
    expect(server.checkIssued(ca)).toBe(true);
    expect(server.ca).toBe(false);
    expect(server.checkHost('localhost')).toBe('localhost');
    expect(server.checkHost('example.org')).toBeUndefined();
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(server.checkIP('::1')).toBe('::1');
    expect(server.checkIP('127.0.0.2')).toBeUndefined();
    expect(Date.parse(server.validFrom)).toBeLessThan(Date.now());
    expect(Date.parse(server.validTo)).toBeGreaterThan(Date.now() + 300 * 86_400_000);
    expect(new Set([ca, server, new X509Certificate(second.certificate)].map((each) => each.serialNumber)).size).toBe(
      3,
    );
    expect(first.key).not.toBe(second.key);
  });

  it('issues certificates for other names and addresses, and expired ones', () => {
    const names = ['redis.example', '10.0.0.1', '2001:db8::ff00:42'];
    const other = new X509Certificate(authority.issue({ names }).certificate);
    expect(other.checkHost('redis.example')).toBe('redis.example');
    expect(other.checkHost('localhost')).toBeUndefined();
    expect(other.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(other.checkIP('2001:db8::ff00:42')).toBe('2001:db8::ff00:42');
    const expired = new X509Certificate(authority.issue({ expired: true }).certificate);
    expect(Date.parse(expired.validFrom)).toBeLessThan(Date.parse(expired.validTo));
    expect(Date.parse(expired.validTo)).toBeLessThan(Date.now());
  });

  it('is not trusted through another one', () => {
    const other = new X509Certificate(new CertificateAuthority().certificate);
    expect(new X509Certificate(authority.issue().certificate).verify(other.publicKey)).toBe(false);
  });
});

describe('DER', () => {
  it.each([
    ['00', '020100'],
    ['0000', '020100'],
    ['007f', '02017f'],
    ['80', '02020080'],
    ['00ff', '020200ff'],
    ['0102', '02020102'],
  ])('the number %s is %s', (bytes, expected) => {
    expect(integer(Buffer.from(bytes, 'hex')).toString('hex')).toBe(expected);
  });

  it('lengths are one byte up to 127, and counted bytes beyond', () => {
    expect(tagged(4, Buffer.alloc(127)).subarray(0, 2).toString('hex')).toBe('047f');
    expect(tagged(4, Buffer.alloc(128)).subarray(0, 3).toString('hex')).toBe('048180');
    expect(tagged(4, Buffer.alloc(256)).subarray(0, 4).toString('hex')).toBe('04820100');
  });

  it('names are numbers of seven bits a byte', () => {
    expect(oid('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
  });
});
