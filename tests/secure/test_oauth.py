"""A producer whose OAuth tokens the application brings (hooks.token), against a broker that takes tokens without a signature."""

import base64
import json
import time

from integration.harness.program import BUILDS, ROOT, run

SECONDS = 10


def token(subject):
    """An unsecured JWS (RFC 7515): {"alg": "none"}, claims, no signature."""
    now = int(time.time())
    claims = {"sub": subject, "iat": now - 60, "exp": now + 3600, "scope": "events"}
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)) + "."


def publish(site, folder, principal, given):
    release = BUILDS["release"]
    program = folder / "publish_oauth"
    done = run(["cc", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", str(ROOT / "tests/installed/publish_oauth.c"), "-o", str(program),
                f"-I{ROOT / 'producer/include'}", f"-L{release / 'lib'}", "-ltallymill", f"-Wl,-rpath,{release / 'lib'}"])
    assert done.code == 0, done
    return run([str(program), f"127.0.0.1:{site.secured.ports['kafka-1']}", site.topic, site.secured.secrets.path("ca.pem"), principal, given, str(SECONDS), "20"], 120)


def test_a_producer_lets_itself_be_given_tokens_and_asks_again_before_one_ends(site, tmp_path):
    principal = f"oauth-{site.topic}"
    site.secured.kafka.allow(principal, site.secured.rights(("topic:Write", "topic:Describe")))
    done = publish(site, tmp_path, principal, token(principal))
    assert done.code == 0, done
    asked, acknowledged, failed = (int(part.split()[0]) for part in done.out.split(","))
    assert asked >= 2 and acknowledged == 40 and failed == 0, done


def test_a_token_that_the_broker_refuses_is_named_and_its_events_are_given_up(site, tmp_path):
    done = publish(site, tmp_path, "nobody", "no.token.")
    assert done.code == 1 and " 0 acknowledged" in done.out and "OAUTHBEARER" in done.err, done
