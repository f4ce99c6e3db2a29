import pytest

from tts.text.normalise import normalise

# What is written, and what a French reader says.
READINGS = [
    # amounts, with every kind of space
    ("1 234,56 €", "mille deux cent trente-quatre euros cinquante-six"),
    ("1\u202f234,56\u00a0€", "mille deux cent trente-quatre euros cinquante-six"),
    ("1\u00a0234,56\u00a0€", "mille deux cent trente-quatre euros cinquante-six"),
    ("1.234,56 €", "mille deux cent trente-quatre euros cinquante-six"),
    ("12.50 €", "douze euros cinquante"),
    ("0,99 €", "quatre-vingt-dix-neuf centimes"),
    ("1 000 000 €", "un million d'euros"),
    ("2 M€", "deux millions d'euros"),
    ("3 k€", "trois mille euros"),
    ("15 €/mois", "quinze euros par mois"),
    ("12,50 €/mois", "douze euros cinquante par mois"),
    ("5 $", "cinq dollars"),
    ("$5.99", "cinq dollars quatre-vingt-dix-neuf"),
    ("10 CHF", "dix francs suisses"),
    # hours
    ("15 h 30", "quinze heures trente"),
    ("15\u202fh\u202f30", "quinze heures trente"),
    ("15h30", "quinze heures trente"),
    ("15:30", "quinze heures trente"),
    ("15:30:20", "quinze heures trente minutes vingt secondes"),
    ("8 h", "huit heures"),
    ("1 h 05", "une heure cinq"),
    ("24 h", "vingt-quatre heures"),
    ("de 9h à 18h30", "de neuf heures à dix-huit heures trente"),
    ("10h-12h", "dix heures à douze heures"),
    ("24h/24 et 7j/7", "vingt-quatre heures sur vingt-quatre et sept jours sur sept"),
    # people
    ("M. Dupont", "monsieur Dupont"),
    ("M. le maire", "monsieur le maire"),
    ("MM. Dupont et Durand", "messieurs Dupont et Durand"),
    ("Mme Durand", "madame Durand"),
    ("Mlle Durand", "mademoiselle Durand"),
    ("Dr Martin", "docteur Martin"),
    ("Me Durand", "maître Durand"),
    ("St-Étienne", "Saint-Étienne"),
    # dates
    ("12/05/2024", "douze mai deux mille vingt-quatre"),
    ("01/01/2025", "premier janvier deux mille vingt-cinq"),
    ("2024-05-12", "douze mai deux mille vingt-quatre"),
    ("Le 12/5/24", "Le douze mai deux mille vingt-quatre"),
    ("14/07", "quatorze juillet"),
    ("le 3/4 à midi", "le trois avril à midi"),
    ("lundi 3/4", "lundi trois avril"),
    ("les 3/4 du gâteau", "les trois quarts du gâteau"),
    ("le 3/4 du gâteau", "le trois quarts du gâteau"),
    # numbers with a name
    ("n° 5", "numéro cinq"),
    ("N°5", "numéro cinq"),
    ("nº 5", "numéro cinq"),
    ("nos 3 amis", "nos trois amis"),
    ("#5", "numéro cinq"),
    ("p. 12", "page douze"),
    ("art. 293 B", "article deux cent quatre-vingt-treize B"),
    ("art. L. 123-4", "article L cent vingt-trois tiret quatre"),
    ("v2.1", "version deux point un"),
    ("Python 3.11.7", "Python trois point onze point sept"),
    ("75001", "soixante-quinze, zéro zéro un"),
    ("75001 Paris", "soixante-quinze, zéro zéro un Paris"),
    ("33000 Bordeaux", "trente-trois mille Bordeaux"),
    ("FR02", "F R zéro deux"),
    ("MP3", "M P trois"),
    ("COVID-19", "COVID dix-neuf"),
    ("API", "API"),
    ("SNCF", "SNCF"),
    # ordinals and Roman numerals
    ("1er étage", "premier étage"),
    ("1ère", "première"),
    ("2e étage", "deuxième étage"),
    ("2ème", "deuxième"),
    ("21e", "vingt et unième"),
    ("XIVe siècle", "quatorzième siècle"),
    ("les XVIIIe et XIXe siècles", "les dix-huitième et dix-neuvième siècles"),
    ("Louis XIV", "Louis quatorze"),
    ("Henri IV, roi", "Henri quatre, roi"),
    ("François Ier", "François premier"),
    ("chapitre IV", "chapitre quatre"),
    ("Le CV de Me", "Le CV de Me"),
    # temperatures, units, rates
    ("-5 °C", "moins cinq degrés"),
    ("−5\u202f°C", "moins cinq degrés"),
    ("entre -5 et -2 °C", "entre moins cinq et moins deux degrés"),
    ("5 km/h", "cinq kilomètres heure"),
    ("5 Mo/s", "cinq mégaoctets par seconde"),
    ("44,1 kHz", "quarante-quatre virgule un kilohertz"),
    ("128 kbit/s", "cent vingt-huit kilobits par seconde"),
    ("0,5 s", "zéro virgule cinq seconde"),
    ("2,5 Go", "deux virgule cinq gigaoctets"),
    ("3 m²", "trois mètres carrés"),
    ("12 000 hab./km²", "douze mille habitants par kilomètre carré"),
    ("1m80", "un mètre quatre-vingts"),
    ("21 secondes", "vingt et une secondes"),
    # arithmetic
    ("3 × 4 = 12", "trois fois quatre égale douze"),
    ("2+2=4", "deux plus deux égale quatre"),
    ("10 - 3", "dix moins trois"),
    ("10 > 5", "dix supérieur à cinq"),
    ("10²", "dix au carré"),
    ("1/2", "un demi"),
    ("12/20", "douze sur vingt"),
    ("2½", "deux et demi"),
    ("20\u202f%", "vingt pour cent"),
    ("3,14", "trois virgule quatorze"),
    ("1\u202f000\u202f000", "un million"),
    ("1914-1918", "mille neuf cent quatorze à mille neuf cent dix-huit"),
    # addresses and telephones
    ("https://exemple.fr", "h t t p s deux points slash slash exemple point f r"),
    ("contact@exemple.fr", "contact arobase exemple point f r"),
    ("jean_dupont@mail-pro.com", "jean tiret bas dupont arobase mail tiret pro point com"),
    ("www.exemple.fr", "w w w point exemple point f r"),
    ("01 23 45 67 89", "zéro un, vingt-trois, quarante-cinq, soixante-sept, quatre-vingt-neuf"),
    ("06.12.34.56.78", "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
    ("+33 6 12 34 56 78", "plus trente-trois, six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
    # abbreviations
    ("p. ex. ceci", "par exemple ceci"),
    ("c.-à-d. cela", "c'est-à-dire cela"),
    ("des pommes, etc. Ensuite", "des pommes, et cetera. Ensuite"),
    ("av. J.-C.", "avant Jésus-Christ"),
    ("R&D", "R et D"),
    ("et/ou", "et ou"),
    # what nobody says
    ("**Gras** et _italique_", "Gras et italique"),
    ("# Titre", "Titre"),
    ("[le site](https://exemple.fr/a?b=1)", "le site"),
    ("Bonjour 😀 !", "Bonjour!"),
    ('Un <break time="1s"/> deux', "Un, deux"),
    ("[rire] Bonjour", "Bonjour"),
    ("« Oui », dit-il — puis non.", "Oui, dit-il, puis non."),
    ("L’été", "L'été"),
    ("e\u0301te\u0301", "été"),
    ("bon\u00adjour\u200b", "bonjour"),
    ("a\ud800b", "ab"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "spoken"), READINGS)
def test_it_reads_as_a_french_reader(written, spoken):
    assert normalise(written) == spoken


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "...", "?!", "***", "😀", "<br/>", "\ud800", "\u200b", "—"]
)
def test_nothing_to_say_is_empty(text):
    assert normalise(text) == ""


def test_a_reading_inside_a_sentence_keeps_its_neighbours():
    written = "Le 12/05/2024 à 15 h 30, M. Dupont a payé 1\u202f234,56\u00a0€ au n°5, 2e étage."
    spoken = (
        "Le douze mai deux mille vingt-quatre à quinze heures trente, monsieur Dupont a payé mille deux cent "
        "trente-quatre euros cinquante-six au numéro cinq, deuxième étage."
    )
    assert normalise(written) == spoken
