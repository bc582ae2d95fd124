"""Who lives where: first names, surnames and places. Made-up people in real cities."""

from collections.abc import Mapping
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST: Mapping[str, tuple[str, ...]] = {
    "fr": _words(
        """
        Adèle Adrien Agathe Alexandre Alice Amandine Ambre Amélie Anaïs André Antoine Arthur
        Aurélie Aya Baptiste Benjamin Benoît Camille Caroline Cécile Céline Charlotte Chloé Claire
        Clara Clément Corentin Damien David Delphine Éléonore Élise Élodie Émilie Emma Enzo
        Étienne Eva Fanny Florian Françoise Gabriel Gaëlle Guillaume Hélène Hugo Inès Isabelle
        Jade Jean Jérôme Joséphine Jules Julie Julien Karim Laura Léa Léo Lina Loïc Louis Louise
        Lucas Lucie Maël Manon Margaux Marie Mathéo Mathilde Maxime Mélanie Mila Mohamed Nadia
        Nathan Nicolas Noé Océane Olivier Pauline Pierre Quentin Raphaël Romain Rose Salomé Samuel
        Sarah Simon Sofia Solène Théo Thomas Valentin Victor Yasmine Zoé
        """
    ),
    "en": _words(
        """
        Aaron Abigail Adam Aisha Alfie Amelia Amy Andrew Anna Archie Ava Beatrice Ben Bethany
        Callum Caroline Charlie Chloe Ciara Connor Daisy Daniel Dylan Edward Eleanor Elizabeth
        Ella Emily Erin Ethan Evelyn Finn Fiona Florence Freya George Georgia Grace Grainne Hannah
        Harriet Harry Hazel Henry Holly Imogen Isaac Isla Ivy Jack Jacob James Jasmine Joanna
        Joseph Joshua Kate Kieran Laura Leah Leo Liam Lily Logan Lucy Maisie Matthew Maya Megan
        Michael Mia Molly Nathan Niamh Noah Nora Olivia Oliver Oscar Owen Patrick Phoebe Poppy
        Priya Rebecca Reuben Rory Rosie Ruby Ryan Samuel Saoirse Sean Sienna Sophie Stella Thomas
        Toby Violet William Zachary Zara
        """
    ),
}

SURNAMES: Mapping[str, tuple[str, ...]] = {
    "fr": _words(
        """
        André Arnaud Aubert Barbier Benali Benoît Bernard Bertrand Blanc Blanchard Bonnet Boucher
        Bouchard Bourgeois Boyer Brun Brunet Carpentier Caron Chevalier Clément Colin Côté David
        Denis Diallo Dubois Dufour Dumas Dumont Dupont Dupuis Durand Fabre Faure Favre Fleury
        Fontaine Fournier François Gagnon Gaillard Garcia Garnier Gauthier Gautier Gérard Girard
        Giraud Guérin Haddad Henry Hubert Joly Lacroix Lambert Lambot Lavoie Leblanc Leclerc
        Lefebvre Legrand Lemaire Leroux Leroy Lopez Lucas Maes Marchand Martin Martinez Masson
        Mathieu Mercier Meunier Meyer Michel Moreau Morel Morin Moulin N’Diaye Nguyen Nicolas Noël
        Olivier Pelletier Perrin Petit Philippe Picard Rey Richard Rivière Robert Robin Roche
        Rochat Rousseau Roussel Roux Roy Simon Traoré Tremblay Vidal Vincent
        """
    ),
    "en": _words(
        """
        Adams Ahmed Allen Anderson Bailey Baker Barnes Bell Bennett Brennan Brown Butler Byrne
        Campbell Carroll Carter Chapman Clark Clarke Collins Connolly Cook Cooper Cox Davies Davis
        Doherty Doyle Duffy Edwards Ellis Evans Fitzgerald Fletcher Foster Gallagher Graham Gray
        Green Griffiths Hall Harris Harrison Hayes Hill Holmes Hughes Hunt Jackson James Jenkins
        Johnson Jones Kavanagh Kaur Kelly Kennedy Khan King Knight Lee Lewis Lloyd Lynch MacDonald
        Marshall Martin Mason McCarthy Miller Mills Mitchell Moore Morgan Morris Murphy Murray
        Nolan O'Brien O'Connor O'Neill O'Sullivan Palmer Parker Patel Phillips Powell Price Quinn
        Reid Reynolds Richards Roberts Robinson Rogers Ross Russell Ryan Scott Shaw Simpson Singh
        Smith Stewart Taylor Thomas Thompson Turner Walker Walsh Ward Watson White Williams Wilson
        Wood Wright Young
        """
    ),
}


@dataclass(frozen=True)
class City:
    """A place: degrees east and north, how many prefer French, what money is paid in.

    `weight` is how often it is chosen, `country` what its addresses end in.
    """

    name: str
    country: str
    longitude: float
    latitude: float
    french: float
    currency: str
    weight: float


CITIES = (
    City("Paris", "France", 2.3522, 48.8566, 0.93, "EUR", 20),
    City("Lyon", "France", 4.8357, 45.7640, 0.96, "EUR", 9),
    City("Marseille", "France", 5.3698, 43.2965, 0.97, "EUR", 8),
    City("Toulouse", "France", 1.4442, 43.6047, 0.96, "EUR", 7),
    City("Nice", "France", 7.2620, 43.7102, 0.93, "EUR", 4),
    City("Nantes", "France", -1.5536, 47.2184, 0.97, "EUR", 5),
    City("Strasbourg", "France", 7.7521, 48.5734, 0.94, "EUR", 4),
    City("Montpellier", "France", 3.8767, 43.6108, 0.96, "EUR", 4),
    City("Bordeaux", "France", -0.5792, 44.8378, 0.95, "EUR", 5),
    City("Lille", "France", 3.0573, 50.6292, 0.96, "EUR", 5),
    City("Rennes", "France", -1.6778, 48.1173, 0.97, "EUR", 4),
    City("Reims", "France", 4.0317, 49.2583, 0.98, "EUR", 2),
    City("Grenoble", "France", 5.7245, 45.1885, 0.95, "EUR", 3),
    City("Dijon", "France", 5.0415, 47.3220, 0.98, "EUR", 2),
    City("Angers", "France", -0.5632, 47.4784, 0.98, "EUR", 2),
    City("Brest", "France", -4.4861, 48.3904, 0.98, "EUR", 2),
    City("Bruxelles", "Belgique", 4.3517, 50.8503, 0.80, "EUR", 6),
    City("Liège", "Belgique", 5.5797, 50.6326, 0.94, "EUR", 2),
    City("Namur", "Belgique", 4.8675, 50.4674, 0.95, "EUR", 1),
    City("Luxembourg", "Luxembourg", 6.1319, 49.6116, 0.75, "EUR", 1),
    City("Genève", "Suisse", 6.1432, 46.2044, 0.80, "CHF", 4),
    City("Lausanne", "Suisse", 6.6323, 46.5197, 0.88, "CHF", 3),
    City("Fribourg", "Suisse", 7.1620, 46.8065, 0.85, "CHF", 1),
    City("Montréal", "Canada", -73.5673, 45.5017, 0.70, "CAD", 9),
    City("Québec", "Canada", -71.2080, 46.8139, 0.96, "CAD", 4),
    City("Ottawa", "Canada", -75.6972, 45.4215, 0.35, "CAD", 3),
    City("Toronto", "Canada", -79.3832, 43.6532, 0.05, "CAD", 6),
    City("Vancouver", "Canada", -123.1207, 49.2827, 0.04, "CAD", 3),
    City("London", "United Kingdom", -0.1278, 51.5074, 0.07, "GBP", 14),
    City("Manchester", "United Kingdom", -2.2426, 53.4808, 0.02, "GBP", 5),
    City("Birmingham", "United Kingdom", -1.8904, 52.4862, 0.02, "GBP", 4),
    City("Bristol", "United Kingdom", -2.5879, 51.4545, 0.03, "GBP", 3),
    City("Leeds", "United Kingdom", -1.5491, 53.8008, 0.02, "GBP", 3),
    City("Edinburgh", "United Kingdom", -3.1883, 55.9533, 0.03, "GBP", 3),
    City("Glasgow", "United Kingdom", -4.2518, 55.8642, 0.02, "GBP", 3),
    City("Cardiff", "United Kingdom", -3.1791, 51.4816, 0.02, "GBP", 2),
    City("Belfast", "United Kingdom", -5.9301, 54.5973, 0.02, "GBP", 2),
    City("Dublin", "Ireland", -6.2603, 53.3498, 0.04, "EUR", 6),
    City("Cork", "Ireland", -8.4756, 51.8985, 0.02, "EUR", 2),
    City("Galway", "Ireland", -9.0568, 53.2707, 0.03, "EUR", 1),
    City("New York", "United States", -74.0060, 40.7128, 0.03, "USD", 4),
    City("Boston", "United States", -71.0589, 42.3601, 0.03, "USD", 2),
)
