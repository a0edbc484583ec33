"""The certificates of the target's domains, as ACM would have issued them half a year ago."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from opslib.lab.places import Place
from opslib.lab.resources import names

_AGE, _LIFE = timedelta(days=183), timedelta(days=395)


def seed(place: Place) -> None:
    """But for those of distributions, which come with them."""
    apart = {each.get("host") for each in place.facts.get("distributions", {}).values()}
    for domain in place.facts.get("certificates", {}):
        if domain not in apart:
            issue(place, domain, place.region)


def issue(place: Place, domain: str, region: str) -> str:
    """A certificate in ACM of a region; its ARN."""
    certificate, key = _issue(domain, names.start(place) - _AGE)
    client = place.world.client("acm", place.account, region, "operator")
    arn = client.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    place.world.backend("acm", place.account, region)._certificates[arn].type = "AMAZON_ISSUED"
    return str(arn)


def _issue(domain: str, since: datetime) -> tuple[bytes, bytes]:
    """Certificate and key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The practice lab")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(serialization.Encoding.PEM), pem
