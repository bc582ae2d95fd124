"""What people write, in both languages: halves of messages that fit together."""

from itertools import product

Texts = tuple[str, ...]


def _both(first: Texts, second: Texts) -> Texts:
    return tuple(f"{one} {other}" for one, other in product(first, second))


OPENINGS = {
    "fr": _both(
        (
            "Bonjour, votre annonce m’intéresse beaucoup.",
            "Bonjour, merci d’avoir accepté la séance !",
            "Salut, je débute et je suis très motivé.",
            "Bonjour, j’ai déjà quelques bases.",
            "Bonsoir, on m’a dit beaucoup de bien de vos cours.",
            "Salut ! Ça fait longtemps que je veux m’y mettre.",
        ),
        (
            "Faut-il apporter du matériel ?",
            "L’horaire proposé me convient très bien.",
            "Serait-il possible de commencer un quart d’heure plus tard ?",
            "Par quoi est-ce qu’on commence ?",
            "Avez-vous un support à me conseiller avant ?",
            "Je suis disponible surtout en fin de journée.",
            "Est-ce qu’on se voit sur place ou en visio ?",
        ),
    ),
    "en": _both(
        (
            "Hello, I really liked your profile.",
            "Hi, thanks for accepting the session!",
            "Hi there, I am a complete beginner.",
            "Hello, I already know the basics.",
            "Good evening, a friend recommended you.",
            "Hi! I have wanted to learn this for ages.",
        ),
        (
            "Do I need to bring anything?",
            "The time you suggested works for me.",
            "Could we start fifteen minutes later?",
            "Where would you begin?",
            "Is there anything I should read first?",
            "Evenings suit me best.",
            "Shall we meet in person or online?",
        ),
    ),
}
ANSWERS = {
    "fr": _both(
        (
            "Parfait.",
            "Avec plaisir !",
            "Pas de souci.",
            "Bonne idée.",
            "D’accord, c’est noté.",
            "Merci pour votre message.",
        ),
        (
            "On commencera par les bases puis on verra selon le rythme.",
            "Il suffit d’un carnet et d’un peu de curiosité.",
            "Je vous envoie un document d’ici demain.",
            "J’ai réservé la petite salle près de la gare.",
            "Si vous avez un empêchement, prévenez-moi la veille.",
            "Une heure devrait suffire pour la première fois.",
            "N’hésitez pas si vous avez des questions d’ici là.",
            "À très bientôt !",
        ),
    ),
    "en": _both(
        (
            "Perfect.",
            "With pleasure!",
            "No problem at all.",
            "Good idea.",
            "All right, noted.",
            "Thanks for your message.",
        ),
        (
            "We will start with the basics and see how it goes.",
            "A notebook and some curiosity will do.",
            "I will send you a document by tomorrow.",
            "I booked the small room near the station.",
            "If something comes up, let me know the day before.",
            "One hour should be enough for a first time.",
            "Feel free to ask if you have any questions until then.",
            "See you soon!",
        ),
    ),
}
REVIEWS = {  # by stars, from one
    "fr": (
        ("Séance très décevante.", "Pas du tout préparé, je ne recommande pas."),
        ("Peu clair, et en retard.", "Le contenu ne correspondait pas à l’annonce."),
        ("Correct, sans plus.", "Des connaissances, mais un rythme trop rapide."),
        (
            "Très bonne séance, merci !",
            "Explications claires, je reviendrai.",
            "Agréable et utile.",
        ),
        ("Excellent, patient et passionné !", "J’ai appris énormément en une heure.", "Parfait."),
    ),
    "en": (
        ("Very disappointing session.", "Not prepared at all, I cannot recommend it."),
        ("Unclear, and late.", "Not what was announced."),
        ("Fine, nothing more.", "Knows a lot, but went too fast."),
        ("Very good session, thank you!", "Clear explanations, I will be back.", "Useful and fun."),
        ("Excellent, patient and passionate!", "I learned so much in an hour.", "Perfect."),
    ),
}
BIOGRAPHIES = {
    "fr": _both(
        ("Curieux de tout.", "Enseignante à la retraite.", "Étudiant en master.", "Jeune parent."),
        (
            "J’aime transmettre ce que je sais.",
            "Ici pour apprendre et rencontrer du monde.",
            "Disponible le week-end, en ville ou en visio.",
            "Toujours partant pour un échange de compétences.",
        ),
    ),
    "en": _both(
        ("Curious about everything.", "Retired teacher.", "Graduate student.", "Young parent."),
        (
            "I love to pass on what I know.",
            "Here to learn and to meet people.",
            "Free on weekends, in town or online.",
            "Always up for a skill swap.",
        ),
    ),
}
QUESTIONS = {
    "fr": (
        "Comment organiser mes révisions sur deux semaines ?",
        "Peux-tu m’expliquer cette notion avec un exemple simple ?",
        "Donne-moi trois exercices pour débuter.",
        "Quelle erreur est-ce que je fais ici ?",
        "Comment garder ma motivation ?",
    ),
    "en": (
        "How should I plan two weeks of practice?",
        "Can you explain this with a simple example?",
        "Give me three exercises to start with.",
        "What am I doing wrong here?",
        "How do I stay motivated?",
    ),
}
REPLIES = {
    "fr": (
        "Commençons par un objectif précis : que veux-tu savoir faire dans deux semaines ?",
        "Voici un plan en trois étapes, avec vingt minutes par jour.",
        "Prenons un exemple concret, puis tu essaieras toi-même.",
        "Presque ! Relis la deuxième étape et compare avec la première.",
        "Alterne pratique courte et repos, et note tes progrès chaque soir.",
    ),
    "en": (
        "Let us start with a clear goal: what do you want to be able to do in two weeks?",
        "Here is a plan in three steps, twenty minutes a day.",
        "Let us take a concrete example, then you try one yourself.",
        "Almost! Read step two again and compare it with step one.",
        "Alternate short practice and rest, and write down your progress every evening.",
    ),
}
SUBJECTS = {
    "fr": (
        "Votre séance commence dans une heure",
        "Nouvelle proposition de séance",
        "Votre séance est confirmée",
        "Vous avez reçu un avis",
        "Nouveau message",
        "Votre badge est arrivé",
    ),
    "en": (
        "Your session starts in one hour",
        "A session was proposed to you",
        "Your session is confirmed",
        "You received a review",
        "New message",
        "You earned a badge",
    ),
}
COMPLAINTS = {
    "fr": (
        "Messages répétés non sollicités.",
        "Propos déplacés pendant la séance.",
        "Faux profil.",
    ),
    "en": ("Repeated unwanted messages.", "Inappropriate remarks.", "Looks like a fake profile."),
}
TASKS = {
    "fr": (
        "Réserver une salle",
        "Préparer le programme du mois",
        "Accueillir les nouveaux membres",
        "Publier le compte rendu",
        "Rassembler le matériel",
    ),
    "en": (
        "Book a room",
        "Prepare the monthly programme",
        "Welcome new members",
        "Publish the minutes",
        "Gather the equipment",
    ),
}
STREETS = {
    "fr": ("rue de la République", "avenue Victor-Hugo", "place du Marché", "rue des Écoles"),
    "en": ("High Street", "Station Road", "Church Lane", "Market Square"),
}
