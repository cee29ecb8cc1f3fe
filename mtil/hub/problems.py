"""What the Hub, or the way to it, refuses: in words, and with the way out."""

from mtil.hub.names import Kind

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def fetching_problem(error: Exception, kind: Kind) -> str:
    """Why something could not be fetched."""
    from huggingface_hub import errors

    match _cause(error):
        case errors.GatedRepoError():
            return "gated on the Hub: accept its terms there and log in with `hf auth login`"
        case errors.RepositoryNotFoundError() | errors.HFValidationError():
            return f"neither a folder here nor a {kind} on the Hub that is open to you"
        case errors.RevisionNotFoundError():
            return f"a {kind} on the Hub, but without such a branch, tag or commit"
        case errors.LocalEntryNotFoundError() as found:
            part = "only in part" if type(found) is not errors.LocalEntryNotFoundError else "not"
            return f"{part} in the Hub's local cache, and the Hub cannot be reached"
        case errors.HfHubHTTPError() as found if found.response.status_code in (401, 403):
            return f"the Hub refuses the access token ({found.response.status_code}): {_LOGIN}"
        case found:  # the HTTP client's own errors come through, and so does a full disk
            return f"cannot be fetched from the Hub: {reason(found)}"


def pushing_problem(error: Exception) -> str:
    """Why something could not be written to the Hub."""
    from huggingface_hub import errors

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return pushing_problem(error.__cause__)  # of one of several uploads
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return f"the Hub knows no access token that may write (401): {_LOGIN}"
        if status == 403:
            return "the access token may not write there (403): expected one with write permission for this owner"
    if isinstance(error, errors.HFValidationError):
        return f"no name that the Hub allows: {reason(error)}"
    if isinstance(error, ConnectionError) or type(error).__name__ in ("ConnectError", "ConnectTimeout"):
        return "the Hub cannot be reached"
    return f"cannot be written to the Hub: {reason(error)}"


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _cause(error: Exception) -> Exception:
    """The Hub's answer, where the client tells only that its own cache lacks what was asked for."""
    from huggingface_hub import errors

    answered = isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError)
    return error.__cause__ if answered and isinstance(error.__cause__, Exception) else error
