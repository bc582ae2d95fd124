"""The badges there are: the same rows in the made-up data and in what the services write."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Badge:
    """A row of BADGE; `id` is one for all clusters, so that whoever writes it writes the same."""

    id: str
    code: str
    label: str
    text: str

    @property
    def row(self) -> dict[str, object]:
        """As it is stored."""
        return {
            "id_badge": self.id,
            "code": self.code,
            "libelle": self.label,
            "description": self.text,
        }


BADGES = (
    Badge(
        "c30456d4-45e1-80ee-a272-67619b168b31",
        "PREMIERE_SEANCE",
        "Première séance",
        "A suivi une première séance.",
    ),
    Badge(
        "35abf4c9-2be7-8679-875b-5ae5bbcb080a",
        "PREMIER_COURS",
        "Premier cours",
        "A donné une première séance.",
    ),
    Badge(
        "c3969117-c2f7-8c43-bc6c-1b93a300b685",
        "ASSIDU",
        "Élève assidu",
        "A suivi trois séances.",
    ),
    Badge(
        "0fb7ebc6-1de2-8440-b3b4-066867552d6e",
        "MENTOR",
        "Mentor",
        "A donné huit séances.",
    ),
    Badge(
        "06115c79-066f-8559-914c-2f4af99a5825",
        "CINQ_ETOILES",
        "Cinq étoiles",
        "Au moins 4,8 de moyenne sur trois avis.",
    ),
    Badge(
        "70678e6f-ccb6-8f76-9c3d-4d0cbc1de30f",
        "FIABLE",
        "Toujours là",
        "Aucune absence en trois séances.",
    ),
    Badge(
        "242561c1-f20e-809a-98b9-3e138a39d73b",
        "ANIMATEUR",
        "Animateur",
        "Anime un groupe.",
    ),
)
BY_CODE = {badge.code: badge for badge in BADGES}
