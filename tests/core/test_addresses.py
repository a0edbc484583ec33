"""Where a database is, out of the shapes that secrets and targets' files have in the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from opslib import OpsError
from opslib.core.connections import addresses

RDS = {"username": "u", "password": "p", "host": "h.example.com", "port": 5433, "dbname": "d"}


class Ops:
    """A connection of which only the target, its secret and RDS's answers are used."""

    def __init__(
        self, database: Mapping[str, Any], secret: Any, lab: bool = False, **rds: Any
    ) -> None:
        self.target = type(
            "Target", (), {"name": "shop-staging", "key": "shop-staging", "lab": lab}
        )()
        type(self.target).__getitem__ = lambda _, __: database
        self.value, self.rds, self.asked = secret, rds, list[str]()

    def secret(self, name: str) -> Any:
        self.asked.append(name)
        return self.value

    def call(self, service: str, operation: str, **given: Any) -> Any:
        self.asked.append(operation)
        return {"DBInstances": [self.rds], "DBClusters": [self.rds]}

    def kept(self, kind: Any) -> Any:
        return None

    def keep(self, value: Any) -> Any:
        return value


def found(database: Mapping[str, Any], secret: Any, lab: bool = False, **rds: Any) -> Any:
    """The address that comes of a file's `database`, a secret, and RDS's answer."""
    return addresses.find(Ops({"secret": "shop/db", **database}, secret, lab, **rds))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "secret",
    [
        RDS,
        {"engine": "postgres", "DB_USER": "u", "DB_PASSWORD": "p", "DB_HOST": "h.example.com"}
        | {"DB_PORT": "5433", "DB_NAME": "d"},
        {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_HOST": "h.example.com"}
        | {"POSTGRES_PORT": 5433, "POSTGRES_DB": "d"},
        {"url": "postgresql://u:p@h.example.com:5433/d"},
        {"connectionString": "Server=h.example.com;Port=5433;Database=d;User Id=u;Password=p"},
        "postgres://u:p@h.example.com:5433/d?sslmode=require",
        "jdbc:postgresql://h.example.com:5433/d?user=u&password=p",
        "host=h.example.com port=5433 dbname=d user=u password='p'",
        "Host=h.example.com;Port=5433;Database=d;Username=u;Password=p",
    ],
)
def test_a_secret_of_any_usual_shape_says_where_the_database_is(secret: Any) -> None:
    made = found({}, secret)
    assert made.render_as_string(hide_password=False) == (
        "postgresql+psycopg://u:p@h.example.com:5433/d?sslmode=require"
    )


def test_keys_of_ones_own_are_named_in_the_file_and_may_lie_deeper() -> None:
    keys = {"user": "login.name", "password": "login.pw", "host": "at", "name": "schema"}
    secret = {"login": {"name": "u", "pw": "p"}, "at": "h.example.com", "schema": "d"}
    made = found({"secret_keys": keys}, secret)
    assert (made.username, made.password, made.host, made.database) == (
        "u",
        "p",
        "h.example.com",
        "d",
    )
    with pytest.raises(OpsError, match=r"no 'login.pw'.*it has at, login, schema"):
        found({"secret_keys": keys}, {**secret, "login": {"name": "u"}})


@pytest.mark.parametrize("secret", ['{"username": "u", "passw', '["u", "p"'])
def test_a_secret_that_was_cut_is_no_password(secret: str) -> None:
    with pytest.raises(OpsError, match="begins as JSON and is none"):
        found({"host": "h.example.com"}, secret)


def test_a_secret_that_rds_manages_is_made_whole_by_rds_and_by_the_file() -> None:
    login = {"username": "u", "password": "p"}
    rds: Any = {"Engine": "postgres", "Endpoint": {"Address": "shop.rds.example.com", "Port": 5433}}
    made = found({"instance": "shop"}, login, **rds, DBName="orders")
    assert (made.host, made.port, made.database) == ("shop.rds.example.com", 5433, "orders")
    made = found({"instance": "shop", "host": "proxy.example.com", "name": "d"}, login, **rds)
    assert (made.host, made.database) == ("proxy.example.com", "d")
    cluster: Any = {"Engine": "aurora-postgresql", "Endpoint": "c.example.com", "Port": 5432}
    made = found({"cluster": "shop"}, login, **cluster, DatabaseName="d")
    assert (made.host, made.database) == ("c.example.com", "d")


def test_rdss_own_secret_is_read_where_the_file_names_none() -> None:
    ops = Ops(
        {"instance": "shop", "name": "d"},
        {"username": "u", "password": "p"},
        MasterUserSecret={"SecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:rds!db-1"},
        Endpoint={"Address": "h.example.com", "Port": 5432},
    )
    assert addresses.find(ops).host == "h.example.com"  # type: ignore[arg-type]
    assert any(each.endswith("rds!db-1") for each in ops.asked)


def test_a_database_without_a_name_is_never_another_one() -> None:
    secret = {key: value for key, value in RDS.items() if key != "dbname"}
    with pytest.raises(OpsError, match=r"database\.name in parameters/targets/shop-staging.yaml"):
        found({"instance": "shop"}, secret, Endpoint={"Address": "h", "Port": 5432})
    with pytest.raises(OpsError, match="says: describe"):
        found({}, secret)


@pytest.mark.parametrize(
    ("database", "secret", "said"),
    [
        ({"engine": "mysql"}, RDS, "The database of shop-staging is mysql"),
        ({}, {**RDS, "engine": "mysql"}, "it is mysql"),
        ({}, "mysql://u:hunter22@h/d", "it is mysql"),
    ],
)
def test_another_kind_of_database_is_told_before_it_is_asked(
    database: Any, secret: Any, said: str
) -> None:
    with pytest.raises(OpsError, match=said) as refused:
        found(database, secret)
    assert "hunter22" not in str(refused.value)


def test_a_tunnel_is_gone_through_and_the_servers_name_is_still_checked() -> None:
    made = found({"tunnel": {"host": "localhost", "port": 15432}, "ca": "/etc/rds.pem"}, RDS)
    assert (made.host, made.port) == ("h.example.com", 15432)
    assert made.query["hostaddr"] in ("127.0.0.1", "::1")
    assert (made.query["sslmode"], made.query["sslrootcert"]) == ("verify-full", "/etc/rds.pem")
    assert found({"ssl": "verify-ca"}, RDS).query["sslmode"] == "verify-ca"
    ops = Ops({"secret": "s", "tunnel": {"port": 15432}}, RDS)
    copy = addresses.find(ops, at={"host": "copy.example.com", "port": 5432})  # type: ignore[arg-type]
    assert (copy.host, copy.port, copy.query.get("hostaddr")) == ("copy.example.com", 5432, None)


def test_practice_goes_to_its_own_database_whatever_the_file_says() -> None:
    file = {"host": "prod.example.com", "name": "prod", "user": "x", "tunnel": {"port": 1}}
    made = found(file, {**RDS, "host": "127.0.0.1"}, lab=True)
    assert (made.host, made.port, made.database, made.username) == ("127.0.0.1", 5433, "d", "u")


@pytest.mark.parametrize("password", ["p", "x=1;y", "correct horse", "a://b", "12345678"])
def test_a_secret_may_be_the_password_alone_when_file_or_rds_say_the_rest(password: str) -> None:
    cluster: Any = {"Engine": "aurora-postgresql", "Endpoint": "c.example.com", "Port": 5432}
    cluster |= {"DatabaseName": "d", "MasterUsername": "keeper"}
    if "://" not in password:  # that is an address
        made = found({"cluster": "shop"}, password, **cluster)
        assert (made.username, made.password, made.host) == ("keeper", password, "c.example.com")
        file = {"host": "h.example.com", "name": "d", "user": "u"}
        made = found(file, f"{password}\n")
        assert (made.username, made.password, made.database) == ("u", password, "d")
    with pytest.raises(OpsError) as refused:
        found({"host": "h.example.com", "name": "d", "cluster": "shop"}, password)
    assert password == "p" or password not in str(refused.value)


def test_a_readers_login_is_never_given_the_name_of_the_master() -> None:
    rds: Any = {"Engine": "postgres", "Endpoint": {"Address": "h", "Port": 1}, "DBName": "d"}
    ops = Ops({"instance": "shop", "user": "boss"}, "p", MasterUsername="boss", **rds)
    with pytest.raises(OpsError, match="nothing says its user"):
        addresses.find(ops, "shop/reader")  # type: ignore[arg-type]
    ops.value = {"username": "reader", "password": "p"}
    assert addresses.find(ops, "shop/reader").username == "reader"  # type: ignore[arg-type]


THERE = {"host": "new.example.com", "port": 6543}


@pytest.mark.parametrize(
    ("secret", "moved"),
    [
        pytest.param(
            "postgresql+asyncpg://u:p%40s@old:5432/d?ssl=require",
            "postgresql+asyncpg://u:p%40s@new.example.com:6543/d?ssl=require",
            id="an address",
        ),
        pytest.param(
            "jdbc:postgresql://old/d?user=u", "jdbc:postgresql://new.example.com:6543/d?user=u"
        ),
        pytest.param(
            {"host": "old", "port": 5432, "dbname": "d", "password": "a://b", "own": 1},
            {**THERE, "dbname": "d", "password": "a://b", "own": 1},
            id="fields",
        ),
        pytest.param(
            {"DB_HOST": "old", "DATABASE_URL": "postgres://u:p@old/d"},
            {"DB_HOST": "new.example.com", "DATABASE_URL": "postgres://u:p@new.example.com:6543/d"},
            id="both",
        ),
        pytest.param("the password alone", None, id="no host"),
        pytest.param({"username": "u", "password": "p"}, None, id="no host in fields"),
    ],
)
def test_a_secret_is_given_another_address_and_keeps_all_else(secret: Any, moved: Any) -> None:
    assert addresses.moved(secret, THERE) == moved


def test_another_database_and_keys_of_ones_own_are_followed() -> None:
    secret = {"pg": {"at": "old", "called": "d"}, "password": "p"}
    called = {"host": "pg.at", "name": "pg.called"}
    wanted = {"pg": {"at": "new.example.com", "called": "e"}, "password": "p"}
    assert addresses.moved(secret, {**THERE, "database": "e"}, called) == wanted
    assert secret["pg"] == {"at": "old", "called": "d"}, "what was read is as it was"
