"""What the errors of AWS and botocore mean: each a kind of ours, with what to do."""

from __future__ import annotations

from opslib.core.errors import Meanings, NotAllowed, NotFound, OpsError, Unfinished

# By these it was turned away, so it is not done.
THROTTLED = (
    r"Throttl|TooManyRequests|(RequestLimit|Bandwidth.*|Throughput)Exceeded|SlowDown"
    r"|PriorRequestNotComplete|TransactionInProgress"
)
# What a message of AWS's shows more clearly than its code does; the first counts.
HINTS = (
    (r"explicit deny in an? (service|resource) control policy", "OrganizationDenied"),
    (r"[Ss]ignature (expired|not yet current)", "RequestTimeTooSkewed"),
    (r"not authorized to perform", "AccessDenied"),
)
_INSTEAD = (
    "Name a profile of aws configure sso; or one whose credential_process is 'aws configure "
    "export-credentials{option}', which takes what the AWS CLI has, once it has asked you."
)
MFA = (
    "Profile {profile!r} wants a code of an MFA device for {asked}, and nobody is asked here. "
    f"{_INSTEAD}"
)
_FILES = "~/.aws/config or ~/.aws/credentials (profile {profile!r})"
# By AWS's code, or a hint in place of it.
CODES: Meanings = (
    (
        "^OrganizationDenied",
        NotAllowed,
        "Denied: {asked} ({code}: {said}). A policy of the organization forbids it to the whole "
        "account, whatever a role allows: ask who keeps AWS Organizations.",
    ),
    (
        r"AccessDenied|\bUnauthorized|\bAuthorizationError$|\bForbidden|\b403$",
        NotAllowed,
        "Denied: {asked} ({code}: {said}). "
        "Whether it exists is not known; ask for that permission.",
    ),
    (
        "RequestTimeTooSkewed|RequestInTheFuture",
        NotAllowed,
        "AWS refuses {asked} since this machine's clock is wrong ({code}: {said}). Set the clock "
        "(timedatectl set-ntp true), then run again.",
    ),
    (
        "SignatureDoesNotMatch|InvalidSignature",
        NotAllowed,
        "AWS does not accept the signature of {asked} ({code}: {said}). Set the clock of this "
        "machine; if it is right, the secret key is another's, or a proxy alters requests.",
    ),
    (
        "OptInRequired|SubscriptionRequired|NotSignedUp|RegionDisabled",
        NotAllowed,
        "The account may not use it: {asked} ({code}: {said}). The service or the region is not "
        "enabled there: see the account's settings, and region: in parameters/targets/.",
    ),
    (
        r"\bExpiredToken|TokenRefreshRequired|RequestExpired",
        NotAllowed,
        "The login has expired for {asked} ({code}). {login}",
    ),
    (
        "InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|AuthFailure|InvalidToken$"
        "|IncompleteSignature|MissingAuthenticationToken",
        NotAllowed,
        "AWS does not accept these credentials for {asked} ({code}): their keys are deleted, "
        "switched off, or of another partition. {login}",
    ),
    (
        r"(NotFound(Error|Exception|Fault)?|NonExistentQueue|DoesNotExist|404)$|\bNoSuch",
        NotFound,
        "Not found: {asked} ({code}: {said}). Check the name in parameters/targets/.",
    ),
    (
        THROTTLED,
        Unfinished,
        "AWS kept throttling {asked} ({code}). Wait a minute and run again.",
    ),
    ("", OpsError, "{asked} failed: {code}: {said}"),
)
# By the names of an error's classes.
FAMILIES: Meanings = (
    (r"\bRefreshWithMFA", NotAllowed, MFA),
    (r"\bMissingDependency", NotAllowed, f"No login for {{asked}}: {{said}}. {_INSTEAD}"),
    (
        r"\bLogin(\w*Error|Refresh|Insufficient)",
        NotAllowed,
        "No usable AWS credentials for {asked}: {said}. Log in: aws login{option}",
    ),
    (
        r"\bPartialCredentialsError",
        NotAllowed,
        f"Half a key for {{asked}}: {{said}}. Complete it in {_FILES}.",
    ),
    (
        r"\bCredentialRetrievalError",
        NotAllowed,
        "What gives the credentials failed for {asked}: {said}. See what it says: aws configure "
        "export-credentials{option}",
    ),
    (
        r"Invalid\w*Config\w*|Config(NotFound|ParseError)|Invalid(Retry|MaxRetry|Defaults|IMDS)",
        NotAllowed,
        f"The AWS configuration of this machine does not do for {{asked}}: {{said}}. Correct "
        f"{_FILES}, or AWS_… in the environment.",
    ),
    (
        r"Credential|SSO\w*Error|Token(Retrieval|Load)?Error|TokenProvider|ProfileNotFound"
        "|MetadataRetrieval",
        NotAllowed,
        "No usable AWS credentials for {asked}: {said}. {login}",
    ),
    (
        r"\b(NoRegion|(Unknown|Invalid)Region|UnknownEndpoint)Error",
        OpsError,
        "No such region for {asked}: {said}. Check region: in parameters/targets/.",
    ),
    (
        r"\b(ResponseParserError|PaginationError|\w*ChecksumError)\b",
        Unfinished,
        "The answer to {asked} was cut, or is no answer of AWS's: {said}. Nothing is known from "
        "it. Run again, and see what stands in between (a proxy, a login page).",
    ),
    (
        r"\b(ProxyConnection|SSL)Error",
        Unfinished,
        "No answer to {asked}: {said}. See HTTPS_PROXY and NO_PROXY; a proxy that opens TLS needs "
        "its certificate authority in AWS_CA_BUNDLE; a certificate is also refused by a wrong "
        "clock.",
    ),
    (
        r"\b(ConnectionError|HTTPClientError|WaiterError|IncompleteReadError)\b",
        Unfinished,
        "No answer to {asked}: {said}. Its state is unknown; check the network, then run again.",
    ),
    (r"\bParamValidationError", OpsError, "Not a valid request: {asked}: {said}"),
    ("", OpsError, "{asked} failed: {said}"),
)
