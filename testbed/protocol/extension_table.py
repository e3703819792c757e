"""Which extension types are spoken in registration messages: the one list to add to.

A new extension is one module that defines its value class (with ``type``, ``encode`` and ``decode``) and one line
here. Types that are not listed fall under the skip rules of ``extensions``; the extensions of ICMP advertisements
have numbers of their own and are listed in ``advertisement_extensions``.
"""

from __future__ import annotations

from collections.abc import Mapping

from testbed.protocol.extensions import AuthenticationExtension, AuthenticationKind, ExtensionCodec

REGISTRATION_EXTENSIONS: Mapping[int, ExtensionCodec] = {
    AuthenticationKind.MOBILE_HOME: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.MOBILE_FOREIGN: ExtensionCodec(AuthenticationExtension.decode),
    AuthenticationKind.FOREIGN_HOME: ExtensionCodec(AuthenticationExtension.decode),
}
