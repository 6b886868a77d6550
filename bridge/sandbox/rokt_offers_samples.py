"""The answers of Rokt's V2 Partner Experiences as its document prints them: one with an offer, one without."""

from __future__ import annotations

from typing import Any

ACCOUNT_ID = "106"
PLACEHOLDER = "<JWT token placeholder>"

EMPTY: dict[str, Any] = {
    "sessionId": "b2170028-cf39-4d23-849d-f1c38be50000",
    "pageContext": {
        "pageInstanceGuid": "b2170028-cf39-4ff4-8e7d-d88eb9e441e6",
        "isPageDetected": True,
        "token": PLACEHOLDER,
    },
    "plugins": [],
    "options": {"useDiagnosticEvents": False},
    "token": PLACEHOLDER,
    "success": True,
}

_OFFER: dict[str, Any] = {
    "campaignId": "2749386944931233793",
    "accountId": ACCOUNT_ID,
    "maxTotalItemsQtyInOffer": 1,
    "creative": {
        "referralCreativeId": "2760914349384466797",
        "instanceGuid": "c9f37d78-731d-4a0e-b8bc-712bd8c46cc1",
        "responseOptionsMap": {
            "positive": {
                "id": "2760914349384466794",
                "action": "Url",
                "instanceGuid": "1d47ded1-b483-44e6-abf8-1d1d5faa82bc",
                "signalType": "SignalResponse",
                "shortLabel": "Yes",
                "longLabel": "Yes",
                "shortSuccessLabel": "Email Sent",
                "isPositive": True,
                "url": "http://example.com",
                "ignoreBranch": False,
                "urlBehavior": "newTab",
                "token": PLACEHOLDER,
            },
            "negative": {
                "id": "2760914349384466796",
                "action": "CaptureOnly",
                "instanceGuid": "24de5c75-ff04-41c5-b3f7-7d2ee129ecc6",
                "signalType": "SignalResponse",
                "shortLabel": "いいえ、結構です",
                "longLabel": "いいえ、結構です",
                "isPositive": False,
                "ignoreBranch": False,
                "urlBehavior": "newTab",
                "token": PLACEHOLDER,
            },
        },
        "links": {
            "termsAndConditions": {
                "url": "https://server-api.rokt.com/LegalTerms/TermsAndConditions/2760914349384466797",
                "title": "利用規約",
            }
        },
        "images": {},
        "icons": {},
        "token": PLACEHOLDER,
        "advertiser": {"name": "000. ウィジェットテスト用", "brand": "000. ウィジェットテスト用"},
        "copy": {
            "creative.copy": "Nicholas Grasevski 2",
            "creative.termsAndConditions.message": "T&Csについては [rokt.com](https://www.rokt.com)をご覧ください",
            "creative.termsAndConditions.close.copy": "閉じる",
            "creative.termsAndConditions.title": "利用規約",
            "creative.tag": "B2Bサービス",
            "creative.success.title": "成功",
            "creative.success.copy": "確認メールをtest1593754986316@rokt.comに送信しました。",
        },
    },
    "metadata": {},
}

SAMPLE: dict[str, Any] = {
    "sessionId": "b1fb003c-e904-4083-b7b9-03cde555a7a1",
    "pageContext": {
        "pageInstanceGuid": "b1fb003c-e905-4375-91bd-242e74b12277",
        "pageId": "6b1214f0-43e1-447d-b0bb-cf493d361411",
        "language": "en",
        "isPageDetected": True,
        "pageVariantName": "iOSVaraint1",
        "token": PLACEHOLDER,
    },
    "plugins": [
        {
            "plugin": {
                "id": "3353172846080032866",
                "name": "dcui",
                "url": "https://wsdk.rokt.com/plugins/dcui/index.html",
                "targetElementSelector": "#target_element",
                "targetElementPosition": "append",
                "targetElementRelation": "child",
                "targetSection": "None",
                "config": {
                    "slots": [
                        {
                            "instanceGuid": "8f492d28-83fb-4813-877e-26e752ea9474",
                            "offer": _OFFER,
                            "layoutVariant": {
                                "layoutVariantId": "3353172846080032865",
                                "moduleName": "standard-marketing",
                                "formatType": "Text",
                                "layoutVariantSchema": "<JSON encoded schema>",
                            },
                            "token": PLACEHOLDER,
                        }
                    ],
                    "instanceGuid": "ce5158a9-dc59-4a97-9006-a299901e4587",
                    "outerLayoutSchema": "<JSON encoded schema>",
                    "layoutSchemaVersion": "2.0",
                    "token": PLACEHOLDER,
                },
            },
            "fonts": [],
        }
    ],
    "options": {"useDiagnosticEvents": True},
    "success": True,
}
