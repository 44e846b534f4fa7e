"""Reviews: what clients ask about themselves. There is no authorisation: who has a token may do everything."""

from __future__ import annotations

from testbed.apiserver.resources import Json, Resource

_EVERYTHING = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}


def review(resource: Resource, body: Json, user: str) -> Json:
    """The answer to a review that a client creates."""
    head = {
        "kind": resource.kind,
        "apiVersion": resource.group_version,
        "metadata": {"creationTimestamp": None},
    }
    if resource.kind == "SelfSubjectReview":
        return {**head, "status": {"userInfo": {"username": user, "groups": groups(user)}}}
    if resource.kind == "SelfSubjectRulesReview":
        return {**head, "spec": body.get("spec", {}), "status": _EVERYTHING}
    allowed = {"allowed": True, "reason": "whoever has a token of this lab may do everything"}
    return {**head, "spec": body.get("spec", {}), "status": allowed}


def groups(user: str) -> list[str]:
    """Of a user."""
    account = user.removeprefix("system:serviceaccount:")
    if account == user:
        own = ["system:masters"]
    else:
        own = ["system:serviceaccounts", f"system:serviceaccounts:{account.partition(':')[0]}"]
    return [*own, "system:authenticated"]
